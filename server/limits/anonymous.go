package limits

import (
	"net/netip"
	"sync"
)

// Shares counts connections of a kind, and those of each address. An address is known
// while it has one, so the number of addresses is bounded by that of connections. Any goroutine may
// use it.
type Shares struct {
	free int // as many may come of whatever address

	mu         sync.Mutex
	most, each int // 0: no limit
	all        int
	by         map[string]int32
}

const (
	// askingFree connections may wait for an answer about their token, from whatever address: half of
	// the places that there are. Beyond it an address may have askingEach, so that one alone cannot
	// take the places of all.
	askingFree = 4096
	askingEach = 512
)

// Take counts one more connection of an address (IPv6: of a /64). ok is false if there are too many,
// and by says by which limit.
func (a *Shares) Take(from netip.Addr) (by Kind, ok bool) {
	name := address(from).name
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.most > 0 && a.all >= a.most:
		return AnonymousAll, false
	case a.each > 0 && a.all >= a.free && int(a.by[name]) >= a.each:
		return AnonymousAddress, false
	}
	if a.by == nil {
		a.by = map[string]int32{}
	}
	a.by[name]++
	a.all++
	return 0, true
}

// Give counts one connection less.
func (a *Shares) Give(from netip.Addr) {
	name := address(from).name
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if a.by[name]--; a.by[name] <= 0 {
		delete(a.by, name)
	}
	if a.all == 0 {
		a.by = nil // a map never shrinks
	}
}

// Count returns how many connections there are.
func (a *Shares) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}

// Guest is what each name begins with that AnonymousPayer returns. No user has such a name, since it
// holds a space.
const Guest = "anonymous "

// AnonymousPayer returns the name by which the anonymous connections of an address pay for what they
// cause.
func AnonymousPayer(from netip.Addr) string {
	p := address(from)
	a, _ := netip.AddrFromSlice([]byte(p.name))
	return Guest + a.String()
}
