package rooms

import (
	"fmt"
	"testing"
)

// FuzzIndex takes each byte as an order on one of 64 names (its lower bits),
// and compares with a map after each.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{0, 1, 2, 64, 128, 192})
	var all []byte
	for i := range 256 {
		all = append(all, byte(i), byte(i*7), byte(i*31))
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, orders []byte) {
		x, model := newIndex(), map[string]*Room{}
		for _, o := range orders {
			name := fmt.Sprintf("room:%d", o&63)
			r := x.find([]byte(name))
			if r != model[name] || x.findString(name) != r {
				t.Fatalf("%s: found %p and %p, want %p", name, r, x.findString(name), model[name])
			}
			switch {
			case o < 128 && r == nil: // add
				r = &Room{name: name}
				x.add(r)
				model[name] = r
			case o >= 192 && r != nil: // remove
				x.remove(r)
				delete(model, name)
			}
			if x.n != len(model) {
				t.Fatalf("holds %d rooms, want %d", x.n, len(model))
			}
		}
		seen := map[string]*Room{}
		for b := range x.buckets {
			x.each(b, func(r *Room) {
				seen[r.name] = r
				if len(r.name)%2 == 0 {
					x.remove(r) // a visit may
					delete(model, r.name)
				}
			})
		}
		for name, r := range model {
			if seen[name] != r || x.findString(name) != r {
				t.Fatalf("%s was not visited, or is gone", name)
			}
		}
		if x.n != len(model) {
			t.Fatalf("holds %d rooms after the visit, want %d", x.n, len(model))
		}
	})
}

func TestIndexGrows(t *testing.T) {
	x := newIndex()
	const n = 10_000
	list := make([]*Room, n)
	for i := range list {
		list[i] = &Room{name: fmt.Sprint(i)}
		x.add(list[i])
	}
	if len(x.buckets) != 16384 {
		t.Errorf("%d rooms lie in %d buckets", n, len(x.buckets))
	}
	for i, r := range list {
		if x.findString(r.name) != r || x.find([]byte(r.name)) != r {
			t.Fatalf("room %d is lost", i)
		}
		x.remove(r)
		if x.findString(r.name) != nil {
			t.Fatalf("room %d is still there", i)
		}
	}
	mustPanic(t, "BUG: 7 is not in the index", func() { x.remove(list[7]) })
}

func mustPanic(t *testing.T, want string, do func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); got != want {
			t.Errorf("panics with %v, want %q", got, want)
		}
	}()
	do()
}
