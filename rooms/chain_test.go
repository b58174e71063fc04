package rooms

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestChain(t *testing.T) {
	var c chain
	f := func(part int32, off int64, known bool) {
		t.Helper()
		if got, ok := c.last(part); ok != known || got != off {
			t.Errorf("partition %d: got %d, %v, want %d, %v", part, got, ok, off, known)
		}
	}
	f(0, 0, false)
	c.set(3, 7)
	f(3, 7, true)
	f(0, 0, false)
	c.set(0, 1)
	c.set(5, 9)
	c.set(0, 2)
	f(0, 2, true)
	c.forget(3) // the one held in place
	f(3, 0, false)
	c.set(5, 10) // must not take the free place and be there twice
	c.forget(5)
	f(5, 0, false)
	c.set(8, 1)
	f(8, 1, true)
	f(0, 2, true)
	c.forget(9)
	if got := c.all(); !slices.Equal(got, []Pos{{8, 1}, {0, 2}}) {
		t.Errorf("all is %v", got)
	}
}

func TestChainModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var c chain
		model := map[int32]int64{}
		for range 100 {
			part, off := rnd.Int32N(6), rnd.Int64N(1000)
			if rnd.IntN(3) == 0 {
				c.forget(part)
				delete(model, part)
			} else {
				c.set(part, off)
				model[part] = off
			}
			got := map[int32]int64{}
			for _, p := range c.all() {
				if _, twice := got[p.Partition]; twice {
					t.Fatalf("partition %d is there twice: %v", p.Partition, c.all())
				}
				got[p.Partition] = p.Offset
			}
			if !maps.Equal(got, model) {
				t.Fatalf("got %v, want %v", got, model)
			}
			for part := range int32(6) {
				off, ok := c.last(part)
				if want, known := model[part]; ok != known || off != want {
					t.Fatalf("last(%d) is %d, %v, want %d, %v", part, off, ok, want, known)
				}
			}
		}
	}
}
