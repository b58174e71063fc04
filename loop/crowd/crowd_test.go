package crowd

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type conn struct{ _ byte }

// TestCrowd: a crowd agrees with a list in the order of arrival.
func TestCrowd(t *testing.T) {
	type member struct {
		c    *conn
		addr netip.Addr
	}
	rapid.Check(t, func(t *rapid.T) {
		var w Crowd[*conn]
		var list []member
		of := func(a netip.Addr) (n int) {
			for _, m := range list {
				if m.addr == a {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a := netip.AddrFrom4([4]byte{3: byte(rapid.IntRange(1, 4).Draw(t, "address"))})
			if len(list) > 0 && rapid.Bool().Draw(t, "remove") {
				i := rapid.IntRange(0, len(list)-1).Draw(t, "which")
				if c := list[i].c; !w.Remove(c) || w.Remove(c) || w.Has(c) {
					t.Fatal("not removed once")
				}
				list = slices.Delete(list, i, i+1)
			} else {
				m := member{new(conn), a}
				w.Add(m.c, a)
				list = append(list, m)
			}
			var greedy *conn
			var oldest *conn
			most := 0
			for _, m := range list {
				if n := of(m.addr); n > most {
					most, greedy = n, m.c
				}
				if oldest == nil && m.addr == a {
					oldest = m.c
				}
			}
			if c, n := w.Greediest(); c != greedy || n != most {
				t.Fatalf("the greediest has %d, want %d", n, most)
			}
			if w.Len() != len(list) || w.Of(a) != of(a) || w.Oldest(a) != oldest {
				t.Fatalf("%d in all and %d of %v, want %d and %d", w.Len(), w.Of(a), a, len(list), of(a))
			}
		}
		for _, m := range list {
			w.Remove(m.c)
		}
		if w.Len() != 0 || w.guests != nil || w.groups != nil || w.heap != nil {
			t.Fatal("an empty crowd keeps memory")
		}
	})
}

func TestNetwork(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		if got := Network(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	f("192.0.2.1", "192.0.2.1")
	f("::ffff:192.0.2.1", "192.0.2.1")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")
	f("fe80::1%eth0", "fe80::")
}
