package worker

import "testing"

func TestTimeOf(t *testing.T) {
	f := func(env string, want int64, ok bool) {
		t.Helper()
		if ts, got := timeOf([]byte(env)); ts != want || got != ok {
			t.Errorf("%s: %d %v", env, ts, got)
		}
	}
	f(`{"room":"r","pos":"0:1","ts":1699123456789`, 1699123456789, true)
	f(`{"room":"r,\"ts\":7","ts":5`, 5, true)
	f(`{"room":"r","type":"t","key":"k"`, 0, false)
}
