package route

import "testing"

// The expected hashes are from Kafka's own UtilsTest.testMurmur2 (Apache Kafka).
func TestMurmur2(t *testing.T) {
	f := func(key string, hash int32) {
		t.Helper()
		// 1<<31-1 partitions keep nearly all of the hash.
		const n = 1<<31 - 1
		if got, want := murmur2([]byte(key), n), (hash&0x7fffffff)%n; got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
		if got, want := murmur2([]byte(key), 12), (hash&0x7fffffff)%12; got != want {
			t.Errorf("%q of 12: %d, want %d", key, got, want)
		}
	}
	f("21", -973932308)
	f("foobar", -790332482)
	f("a-little-bit-long-string", -985981536)
	f("a-little-bit-longer-string", -1486304829)
	f("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971)
	f("abc", 479470107)
}

// TestPartitionersStayInRange: producer_test.go compares them with librdkafka's own.
func TestPartitionersStayInRange(t *testing.T) {
	for name, by := range partitioners {
		for _, key := range []string{"a", "42", "\xff\xfe\xfd", "a key of some length", "\x00"} {
			for n := int32(1); n < 20; n++ {
				if p := by([]byte(key), n); p < 0 || p >= n {
					t.Errorf("%s of %q in %d partitions: %d", name, key, n, p)
				}
			}
		}
	}
}
