package loop

import (
	"net/netip"
	"sync"

	"tapecast/loop/crowd"
)

// incoming bounds the memory of all incomplete messages together, since a client may hold the end
// of a long one back for as long as it likes. At the bound the oldest connection of the address
// that holds the most is closed, and more of them until enough is freed. While many closed ones are
// not gone yet, a client of that address that wants more is closed itself. Beyond twice the bound
// any client that wants more is closed, which frees its memory at once. What one read brings to
// each poller may come on top.
type incoming struct {
	most int64
	tell func(Limit, netip.AddrPort)

	mu     sync.Mutex
	held   int64              // bytes of all connections
	ending int64              // of those, of connections that were closed for others and are not gone yet
	sizes  map[*Conn]int64    // bytes of each connection that holds any
	halves crowd.Crowd[*Conn] // connections in sizes that were not closed for others, weighed by their bytes
}

const noMemory = "incomplete messages take too much memory; try again later"

func (m *incoming) init(cfg *Config) {
	m.most, m.tell, m.sizes = int64(cfg.MaxIncoming), cfg.Limited, map[*Conn]int64{}
}

// holds notes that a connection holds n bytes of an incomplete message. It returns false if that is
// too much and the connection must be closed.
func (m *incoming) holds(c *Conn, n int64) bool {
	m.mu.Lock()
	closed := m.note(c, n)
	var from []netip.AddrPort
	for _, old := range closed {
		from = append(from, old.Remote())
	}
	m.mu.Unlock()
	ok := true
	for i, old := range closed {
		m.tell(LimitIncoming, from[i])
		if old == c {
			ok = false
		} else {
			old.giveUp()
		}
	}
	return ok
}

// note returns the connections that must be closed. mu is held.
func (m *incoming) note(c *Conn, n int64) (closed []*Conn) {
	was := m.sizes[c]
	m.held += n - was
	if n == 0 {
		if delete(m.sizes, c); len(m.sizes) == 0 {
			m.sizes = map[*Conn]int64{} // a map never shrinks after a storm
		}
	} else {
		m.sizes[c] = n
	}
	switch {
	case was > 0 && !m.halves.Has(c):
		m.ending += n - was
		return nil // it is being closed
	case n == 0:
		m.halves.Remove(c)
	case was == 0:
		m.halves.Add(c, c.network())
	}
	if n > 0 {
		m.halves.Weigh(c, n)
	}
	if n > was && m.held > 2*m.most {
		return []*Conn{c} // it frees all its memory at once
	}
	for n > was && m.held-m.ending > m.most {
		old, _ := m.halves.Greediest()
		if old == c || m.ending > m.most/4 && old.network() == c.network() {
			return append(closed, c)
		}
		m.halves.Remove(old)
		m.ending += m.sizes[old]
		closed = append(closed, old)
	}
	return closed
}

func (m *incoming) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}
