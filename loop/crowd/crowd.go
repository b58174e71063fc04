package crowd

import (
	"container/heap"
	"net/netip"
)

// Crowd is a set of connections that finds the oldest one of the address that has the
// most in it: whoever takes most gives way first. The most are most connections, or where
// they have weights the greatest weight. It remembers an address only while one
// of its connections is in the set. Its owner's lock guards it.
type Crowd[C comparable] struct {
	guests map[C]*guest[C]
	groups map[netip.Addr]*group[C]
	heap   groupHeap[C]
	seq    uint64
}

// guest is a connection in a crowd, linked in the order of arrival within its address.
type guest[C comparable] struct {
	conn       C
	group      *group[C]
	seq        uint64
	weight     int64
	prev, next *guest[C]
}

// group is what one address has in a crowd.
type group[C comparable] struct {
	addr        netip.Addr
	n           int
	weight      int64 // of its connections
	first, last *guest[C]
	at          int // in the heap
}

// Add puts a connection behind those of its address.
func (w *Crowd[C]) Add(c C, addr netip.Addr) {
	if w.guests == nil {
		w.guests, w.groups = map[C]*guest[C]{}, map[netip.Addr]*group[C]{}
	}
	g := w.groups[addr]
	if g == nil {
		g = &group[C]{addr: addr}
		w.groups[addr] = g
	}
	w.seq++
	x := &guest[C]{conn: c, group: g, seq: w.seq, prev: g.last}
	if g.last != nil {
		g.last.next = x
	} else {
		g.first = x
	}
	g.last = x
	w.guests[c] = x
	if g.n++; g.n == 1 {
		heap.Push(&w.heap, g)
	} else {
		heap.Fix(&w.heap, g.at)
	}
}

// Remove takes a connection out; false: it is not in.
func (w *Crowd[C]) Remove(c C) bool {
	x := w.guests[c]
	if x == nil {
		return false
	}
	delete(w.guests, c)
	g := x.group
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		g.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		g.last = x.prev
	}
	g.weight -= x.weight
	if g.n--; g.n > 0 {
		heap.Fix(&w.heap, g.at)
		return true
	}
	heap.Remove(&w.heap, g.at)
	delete(w.groups, g.addr)
	if len(w.guests) == 0 {
		*w = Crowd[C]{seq: w.seq} // a map keeps the space of a storm
	}
	return true
}

// Weigh gives a connection of the crowd a weight; they begin with none.
func (w *Crowd[C]) Weigh(c C, weight int64) {
	x := w.guests[c]
	x.group.weight += weight - x.weight
	x.weight = weight
	heap.Fix(&w.heap, x.group.at)
}

// Len is how many connections there are.
func (w *Crowd[C]) Len() int { return len(w.guests) }

// Has reports whether a connection is in the crowd.
func (w *Crowd[C]) Has(c C) bool { return w.guests[c] != nil }

// Of returns how many connections an address has.
func (w *Crowd[C]) Of(addr netip.Addr) int {
	if g := w.groups[addr]; g != nil {
		return g.n
	}
	return 0
}

// Oldest returns the connection of an address that came first; zero: it has none.
func (w *Crowd[C]) Oldest(addr netip.Addr) (c C) {
	if g := w.groups[addr]; g != nil {
		return g.first.conn
	}
	return c
}

// Greediest returns the oldest connection of the address that has the most, and how many
// that has; zero: the crowd is empty. Of addresses with as many it takes the one that has
// waited longest.
func (w *Crowd[C]) Greediest() (c C, n int) {
	if len(w.heap) == 0 {
		return c, 0
	}
	return w.heap[0].first.conn, w.heap[0].n
}

// groupHeap has the address with the greatest weight on top, of equal ones that with the
// most connections.
type groupHeap[C comparable] []*group[C]

// Len is how many addresses there are.
func (h groupHeap[C]) Len() int { return len(h) }

// Less reports whether the address at i has to give way before the one at j.
func (h groupHeap[C]) Less(i, j int) bool {
	if h[i].weight != h[j].weight {
		return h[i].weight > h[j].weight
	}
	if h[i].n != h[j].n {
		return h[i].n > h[j].n
	}
	return h[i].first.seq < h[j].first.seq
}

// Swap exchanges two.
func (h groupHeap[C]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is for package heap.
func (h *groupHeap[C]) Push(x any) {
	g := x.(*group[C])
	g.at = len(*h)
	*h = append(*h, g)
}

// Pop is for package heap.
func (h *groupHeap[C]) Pop() any {
	old := *h
	g := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return g
}

// Network is what an address is counted as: an IPv6 host has a /64 to itself.
func Network(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		return p.Addr()
	}
	return a
}
