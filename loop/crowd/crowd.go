package crowd

import (
	"cmp"
	"container/heap"
	"container/list"
	"net/netip"
)

// Crowd is a set of connections. It finds the address with the most of them, and the oldest
// connection of that address, which must give way first. If the connections have weights, the
// greatest sum of weights counts instead. An address is remembered only while it has a connection
// in the set. The owner's lock guards it.
type Crowd[C comparable] struct {
	guests map[C]*list.Element // of group.in
	groups map[netip.Addr]*group[C]
	heap   groupHeap[C]
	seq    uint64
}

// guest is a connection in a crowd.
type guest[C comparable] struct {
	conn   C
	group  *group[C]
	seq    uint64
	weight int64
}

// group is what one address has in a crowd.
type group[C comparable] struct {
	addr   netip.Addr
	in     list.List // its *guest, in the order of arrival
	weight int64     // of its connections
	at     int       // in the heap
}

func (g *group[C]) first() *guest[C] { return g.in.Front().Value.(*guest[C]) }

// Add adds a connection after those of the same address.
func (w *Crowd[C]) Add(c C, addr netip.Addr) {
	if w.guests == nil {
		w.guests, w.groups = map[C]*list.Element{}, map[netip.Addr]*group[C]{}
	}
	g := w.groups[addr]
	if g == nil {
		g = &group[C]{addr: addr}
		w.groups[addr] = g
	}
	w.seq++
	w.guests[c] = g.in.PushBack(&guest[C]{conn: c, group: g, seq: w.seq})
	if g.in.Len() == 1 {
		heap.Push(&w.heap, g)
	} else {
		heap.Fix(&w.heap, g.at)
	}
}

// Remove takes a connection out. It returns false if the connection is not in the crowd.
func (w *Crowd[C]) Remove(c C) bool {
	at := w.guests[c]
	if at == nil {
		return false
	}
	delete(w.guests, c)
	x := at.Value.(*guest[C])
	g := x.group
	g.in.Remove(at)
	if g.weight -= x.weight; g.in.Len() > 0 {
		heap.Fix(&w.heap, g.at)
		return true
	}
	heap.Remove(&w.heap, g.at)
	delete(w.groups, g.addr)
	if len(w.guests) == 0 {
		*w = Crowd[C]{seq: w.seq} // a map never shrinks after a storm
	}
	return true
}

// Weigh sets the weight of a connection in the crowd. It is 0 at first.
func (w *Crowd[C]) Weigh(c C, weight int64) {
	x := w.guests[c].Value.(*guest[C])
	x.group.weight += weight - x.weight
	x.weight = weight
	heap.Fix(&w.heap, x.group.at)
}

// Len returns the number of connections.
func (w *Crowd[C]) Len() int { return len(w.guests) }

// Has reports whether a connection is in the crowd.
func (w *Crowd[C]) Has(c C) bool { return w.guests[c] != nil }

// Of returns how many connections an address has.
func (w *Crowd[C]) Of(addr netip.Addr) int {
	if g := w.groups[addr]; g != nil {
		return g.in.Len()
	}
	return 0
}

// Oldest returns the address's connection that came first, or the zero value if it has none.
func (w *Crowd[C]) Oldest(addr netip.Addr) (c C) {
	if g := w.groups[addr]; g != nil {
		return g.first().conn
	}
	return c
}

// Greediest returns the oldest connection of the address that has the most, and how many that
// address has. It returns the zero value if the crowd is empty. Among equal addresses it takes the
// one that has waited longest.
func (w *Crowd[C]) Greediest() (c C, n int) {
	if len(w.heap) == 0 {
		return c, 0
	}
	return w.heap[0].first().conn, w.heap[0].in.Len()
}

// groupHeap has the address with the greatest weight on top, and among equal ones the address with
// the most connections.
type groupHeap[C comparable] []*group[C]

// Len returns the number of addresses.
func (h groupHeap[C]) Len() int { return len(h) }

// Less reports whether the address at i must give way before the one at j.
func (h groupHeap[C]) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(b.in.Len(), a.in.Len()),
		cmp.Compare(a.first().seq, b.first().seq)) < 0
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

// Network returns the network that an address is counted as. An IPv6 host is counted by its /64.
func Network(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		return p.Addr()
	}
	return a
}
