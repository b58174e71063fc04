package loop

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"tapecast/loop/tlsconn"
	"tapecast/rooms/wire"
)

// TestMessageLimits: messages may be longer once the client is authenticated, from the next
// byte on.
func TestMessageLimits(t *testing.T) {
	w := newTown(t, Config{MaxMessage: 3000, MaxEarlyMessage: 1000}, func(c *Conn, p []byte) {
		if string(p) == "auth" {
			c.SetAuthenticated(false)
		}
		c.SendText(p)
	})
	short, long := strings.Repeat("s", 1000), strings.Repeat("l", 3000)
	c := w.dial()
	c.echoes(short)
	c.write(ws.OpText, short+"s")
	c.expectClose(1009, "message too big")

	c = w.dial()
	c.writeAll(short, "auth", long)
	for _, want := range []string{short, "auth", long} {
		if _, got := c.read(); got != want {
			t.Fatalf("%.20q in place of %.20q", got, want)
		}
	}
	c.write(ws.OpText, long+"l")
	c.expectClose(1009, "message too big")
}

// TestIncomingBound: messages that have not all come have a bound together; the oldest gives
// way, and the others are heard to their ends.
func TestIncomingBound(t *testing.T) {
	w := newTown(t, Config{MaxIncoming: 100 << 10})
	const size = 40 << 10
	f := ws.MustCompileFrame(ws.MaskFrameWith(ws.NewTextFrame(make([]byte, size)), [4]byte{}))
	half := func() *client {
		t.Helper()
		c := w.dial()
		if _, err := c.conn.Write(f[:len(f)-1]); err != nil {
			t.Fatal(err)
		}
		return c
	}
	holds := func(n int64) { await(t, func() bool { return w.engine.Stats().Incoming >= n }) }
	first := half()
	holds(size - 1)
	second := half()
	holds(2 * (size - 1))
	third := half()
	first.expectClose(wire.CloseTryLater, noMemory)
	for _, c := range []*client{second, third} {
		c.conn.Write(f[len(f)-1:])
		if _, got := c.read(); len(got) != size {
			t.Errorf("%d bytes came back", len(got))
		}
	}
	first.conn.Close()
	await(t, func() bool { return w.engine.Stats().Incoming == 0 })
}

// TestIncomingRecords: a TLS record that has not all come is of that, from its header on.
func TestIncomingRecords(t *testing.T) {
	w := newTown(t, Config{TLS: testTLS(t), MaxIncoming: 50 << 10})
	half := func(at int) *client {
		t.Helper()
		c := w.dial()
		c.echoes("x")
		raw := c.conn.(*tls.Conn).NetConn()
		if _, err := raw.Write(append([]byte{23, 3, 3, 0x40, 0}, make([]byte, at)...)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	holds := func(n int64) { t.Helper(); await(t, func() bool { return w.engine.Stats().Incoming >= n }) }
	first := half(0)
	holds(16 << 10)
	second := half(tlsconn.MaxRecord - 1)
	holds(32 << 10)
	third := half(0)
	first.expectClose(wire.CloseTryLater, noMemory)
	for _, c := range []*client{first, second, third} {
		c.conn.(*tls.Conn).NetConn().Close()
	}
	await(t, func() bool { return w.engine.Stats().Incoming == 0 })

	w = newTown(t, Config{TLS: testTLS(t), MaxIncoming: 10 << 10})
	c := half(0)
	c.expectClose(wire.CloseTryLater, noMemory)
	if n := w.engine.Stats().Incoming; n != 0 {
		t.Errorf("%d bytes are held for one that is being closed", n)
	}
	w.dial().echoes("and others go on")
}

// TestIncomingGreedy: whose message gives way.
func TestIncomingGreedy(t *testing.T) {
	var m incoming
	m.init(&Config{MaxIncoming: 100})
	conn := func(address byte) *Conn { return &Conn{addr: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: address}} }
	a1, a2, b, b2, b3, c := conn(1), conn(1), conn(2), conn(2), conn(2), conn(3)
	f := func(c *Conn, n int64, held, ending int64, want ...*Conn) {
		t.Helper()
		if got := m.note(c, n); !slices.Equal(got, want) || m.held != held || m.ending != ending {
			t.Fatalf("%p give way, %d held, %d ending; want %p, %d, %d", got, m.held, m.ending, want, held, ending)
		}
	}
	f(b, 20, 20, 0)
	f(a1, 20, 40, 0)
	f(a2, 60, 100, 0)
	f(c, 10, 110, 20, a1) // of the address with the most
	f(a1, 26, 116, 26)
	f(a2, 71, 127, 26, a2) // many are on their way out: those of the address go themselves
	f(a2, 0, 56, 26)
	f(a2, 70, 126, 26)
	f(c, 20, 136, 96, a2) // but nobody who holds less goes for them
	f(b, 25, 141, 96)
	f(b, 90, 206, 96, b) // unless beyond twice the bound
	f(b, 0, 116, 96)
	f(a2, 0, 46, 26)
	f(b, 5, 51, 26)
	f(b2, 6, 57, 26)
	f(b3, 55, 112, 26)
	f(c, 40, 132, 37, b, b2) // all who have to
	for _, c := range []*Conn{a1, b, b2, b3} {
		m.note(c, 0)
	}
	f(c, 0, 0, 0)
	if len(m.sizes) != 0 || m.halves.Len() != 0 {
		t.Errorf("left: %v", m.sizes)
	}
}
