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
	f(201, 90, true)  // over
	f(202, 90, false) // trimmed already
	f(204, 90, false)
	f(206, 90, true) // small allocations add up
	f(400, 100, false)
	f(401, 100, true)
	f(401, 100, false) // nothing at all
}
