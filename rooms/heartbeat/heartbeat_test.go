package heartbeat

import "testing"

// TestCounter: each Begin is another turn, busy until End, whatever came before.
func TestCounter(t *testing.T) {
	var b Counter
	if _, busy := b.Turn(); busy {
		t.Error("busy before it began")
	}
	seen := map[uint64]bool{}
	for i, begin := range []bool{true, true, false, true, false, false, true} {
		if begin {
			b.Begin()
		} else {
			b.End()
		}
		n, busy := b.Turn()
		if busy != begin || busy && seen[n] {
			t.Errorf("step %d: turn %d, busy %t", i, n, busy)
		}
		seen[n] = true
	}
}

func BenchmarkTurn(b *testing.B) {
	var counter Counter
	for b.Loop() {
		counter.Begin()
		counter.End()
	}
}
