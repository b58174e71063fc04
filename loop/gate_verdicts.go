package loop

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"tapecast/loop/crowd"
	"tapecast/rooms/wire"
)

// verdicts holds what the gate has decided, to be done without the lock.
type verdicts struct {
	cut   []*Conn // end them at once
	close []*Conn // end them with a close frame
	hits  []hit
}

type hit struct {
	limit Limit
	from  netip.AddrPort
}

func (v *verdicts) hit(l Limit, c *Conn) { v.hits = append(v.hits, hit{l, c.Remote()}) }

// carryOut releases the lock and then does what was decided under it.
func (g *gate) carryOut(v *verdicts) {
	g.mu.Unlock()
	for _, h := range v.hits { // before a client sees its end
		g.tell(h.limit, h.from)
	}
	for _, c := range v.cut {
		c.sock.Control(func(fd int) { // the kernel must keep nothing of it
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		c.cut()
	}
	for _, c := range v.close {
		c.loop.post(event{kind: evClose, conn: c, code: wire.CloseTooMany, data: []byte(tooManyPending)})
	}
}

// GateStats counts the sockets at each step.
type GateStats struct {
	HalfOpen int64 `metric:"tapecast_half_open_connections"` // the upgrade has not been granted
	Pending  int64 // upgraded, and not yet authenticated
	Closing  int64 `metric:"tapecast_closing_connections"` // being closed
	Surplus  int64 `metric:"tapecast_surplus_connections"` // beyond a bound, and to be told
	Open     int64 // upgraded, and not yet gone
}

func (g *gate) stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return GateStats{
		HalfOpen: int64(g.half.Len()), Pending: int64(g.pending.Len()), Closing: int64(g.closing.Len()),
		Surplus: int64(g.surplus.Len()), Open: int64(g.upgraded),
	}
}

// network returns the network that the connection's address is counted as.
func (c *Conn) network() netip.Addr { return crowd.Network(netip.AddrFrom16(c.addr)) }

// Pend counts the connection as one that has yet to authenticate, until SetAuthenticated is called
// or it ends. It returns false if there are too many: the connection must be refused. Only the
// handler's Open may call it.
func (c *Conn) Pend() bool { return c.loop.engine.gate.pend(c) }
