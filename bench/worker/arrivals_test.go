package worker

import "testing"

func TestArrivalsPlaces(t *testing.T) {
	a := newArrivals(3, 6)
	put := func(n int64, at ...int64) {
		for i, x := range at {
			a.put(i, n, x)
		}
	}
	put(0, 30, 20, 10) // not timed
	put(1, 100, 101, 102)
	put(2, 205, 201, 203)
	put(3, 301, 0, 302)   // one lacks it
	put(4, 400, 403, 401) //
	put(5, 402, 404, 405) // began before message 4 had reached all clients
	a.put(0, 6, 1)        // beyond the run: ignored
	p := a.places(1)
	if p.Messages != 3 || p.Overlapping != 1 {
		t.Fatalf("%+v", p)
	}
	if p.First[0] != 2 || p.First[1] != 1 || p.First[2] != 0 || p.Last[0] != 1 || p.Last[1] != 1 || p.Last[2] != 1 {
		t.Fatalf("first %v, last %v", p.First, p.Last)
	}
	if p.Mean[0] != (0+1+0)/3. || p.Mean[1] != (0.5+0+1)/3 || p.Spread.Max() != 4 {
		t.Fatalf("mean %v, spread %d", p.Mean, p.Spread.Max())
	}
}
