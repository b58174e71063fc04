package loop

import (
	"net/netip"
	"sync"

	"tapecast/loop/crowd"
	"tapecast/rooms/wire"
)

// incoming bounds what the messages take together that have not all come: a client may
// hold the end of a long one back for as long as it likes. At the bound the oldest of the
// address that holds the most is closed, and more of them where that is little. While many
// that were closed are not gone yet, those of that address who want more are closed
// themselves, and beyond twice the bound everybody who does: that is free at once. What one
// read brings to each poller may come on top.
type incoming struct {
	most int64
	tell func(Limit, netip.AddrPort)

	mu     sync.Mutex
	held   int64              // bytes of all
	ending int64              // of those, of connections that were closed for others and are not gone
	sizes  map[*Conn]int64    // of each that holds some
	halves crowd.Crowd[*Conn] // those of sizes that were not closed for others, by what they hold
}

const noMemory = "messages that have not all come take too much memory; try again later"

func (m *incoming) init(cfg *Config) {
	m.most, m.tell, m.sizes = int64(cfg.MaxIncoming), cfg.Limited, map[*Conn]int64{}
	if m.tell == nil {
		m.tell = func(Limit, netip.AddrPort) {}
	}
}

// holds notes that a connection has n bytes of a message that has not all come; false: that
// is too much, and it is to be closed.
func (m *incoming) holds(c *Conn, n int64) bool {
	m.mu.Lock()
	closed := m.note(c, n)
	m.mu.Unlock()
	ok := true
	for _, old := range closed {
		m.tell(LimitIncoming, old.Remote())
		if old == c {
			ok = false
		} else {
			old.Close(wire.CloseTryLater, noMemory)
		}
	}
	return ok
}

// note returns the connections that have to be closed, if any have. mu is held.
func (m *incoming) note(c *Conn, n int64) (closed []*Conn) {
	was := m.sizes[c]
	m.held += n - was
	if n == 0 {
		if delete(m.sizes, c); len(m.sizes) == 0 {
			m.sizes = map[*Conn]int64{} // a map keeps the space of a storm
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
		return []*Conn{c} // it lets go of all of that at once
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
