package server

import "testing"

func TestTrimmer(t *testing.T) {
	const mb = 1 << 20
	var tr trimmer
	f := func(allocated, live uint64, want bool) {
		t.Helper()
		if got := tr.due(allocated*mb, live*mb); got != want {
			t.Errorf("%d MB allocated, %d live: %v", allocated, live, got)
		}
	}
	f(100, 50, false) // a burst
	f(200, 90, false) // goes on
	f(205, 90, true)  // over
	f(206, 90, false) // trimmed already
	f(211, 90, false)
	f(216, 90, false)
	f(220, 90, true) // small allocations add up
	f(400, 1000, false)
	f(440, 1000, true)
	for range trimAnyway - 1 {
		f(440, 1000, false) // nothing at all
	}
	f(440, 1000, true) // but who knows what was let go
}
