package loop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
)

// hits counts what Config.Limited is told.
type hits struct {
	mu   sync.Mutex
	n    [LimitTLSWaiting + 1]int
	from [LimitTLSWaiting + 1]netip.Addr // of the last
}

func (h *hits) tell(l Limit, from netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n[l]++
	h.from[l] = from.Addr()
}

func (h *hits) last(l Limit) string { h.mu.Lock(); defer h.mu.Unlock(); return h.from[l].String() }

func (h *hits) of(l Limit) int { h.mu.Lock(); defer h.mu.Unlock(); return h.n[l] }

// local is an address of this machine: each stands for another client's.
func local(n int) net.IP { return net.IPv4(127, 0, 0, byte(n)) }

// silent opens a socket from an address, and says nothing.
func (w *world) silent(from net.IP) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: testwait.Patience}
	conn, err := d.Dial("tcp", w.engine.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(testwait.Patience))
	return conn
}

// asks sends an upgrade request and returns the status line of its answer; "": none.
func asks(conn net.Conn, lines ...string) string {
	head := strings.TrimSuffix(get("/ws?me"), "\r\n")
	for _, line := range lines {
		head += line + "\r\n"
	}
	fmt.Fprint(conn, head+"\r\n")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

// lets expects that an address is let in.
func (w *world) lets(from net.IP) net.Conn {
	w.t.Helper()
	conn := w.silent(from)
	if got := asks(conn); got != "HTTP/1.1 101 Switching Protocols" {
		w.t.Fatalf("%v was answered %q", from, got)
	}
	return conn
}

// refused expects that an address is told to try again later.
func (w *world) refused(from net.IP) {
	w.t.Helper()
	if got := asks(w.silent(from)); got != "HTTP/1.1 503 Service Unavailable" {
		w.t.Errorf("%v was answered %q", from, got)
	}
}

// isCut waits until the gateway has ended a socket.
func isCut(t *testing.T, conn net.Conn, which string) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s was not dropped: %v", which, err)
	}
}

// TestSilentSockets: silent sockets keep no client out; the oldest of the
// address that has the most go.
func TestSilentSockets(t *testing.T) {
	var h hits
	w := newWorld(t, Config{MaxConns: 10, HalfOpen: 8, Limited: h.tell})
	early := w.silent(local(3))
	var flood []net.Conn
	for range 40 {
		flood = append(flood, w.silent(local(2)))
	}
	w.await(func() bool { return h.of(LimitHalfOpen) == 33 })
	for range 10 {
		w.lets(local(4))
	}
	for i := range 33 {
		isCut(t, flood[i], fmt.Sprint("silent socket ", i))
	}
	w.await(func() bool { // one more went for the first client
		s := w.engine.Stats()
		return s.Gate.HalfOpen == 7 && s.Connections == 17
	})
	if from := h.last(LimitHalfOpen); from != "127.0.0.2" {
		t.Errorf("told of %s", from)
	}
	if got := asks(early); got != "HTTP/1.1 503 Service Unavailable" { // 10 of 10 are connected
		t.Errorf("one that came early and took its time was answered %q", got)
	}
	if n := h.of(LimitConnections); n != 1 {
		t.Errorf("the limit of all was told %d times", n)
	}
	if s := w.engine.Stats(); s.TurnedAway != uint64(h.of(LimitHalfOpen)) {
		t.Errorf("%d were turned away, and %d told of", s.TurnedAway, h.of(LimitHalfOpen))
	}
}

// TestSilentSocketsOfAnAddress: half-open ones of one address have a bound of their own.
func TestSilentSocketsOfAnAddress(t *testing.T) {
	var h hits
	w := newWorld(t, Config{HalfOpenPerAddress: 3, Limited: h.tell})
	first := w.silent(local(2))
	for range 3 {
		w.silent(local(2))
	}
	isCut(t, first, "the oldest")
	w.lets(local(2))
	if n := h.of(LimitHalfOpen); n != 2 {
		t.Errorf("%d were dropped", n)
	}
}

// TestAddressAtAccept: an address is counted when its socket is accepted, whatever it
// says; those beyond the bound are told so while there are few, and nobody else is
// refused for them.
func TestAddressAtAccept(t *testing.T) {
	var h hits
	w := newWorld(t, Config{MaxConns: 100, PerAddress: 5, Limited: h.tell})
	var own []net.Conn
	for range 5 {
		own = append(own, w.silent(local(2)))
	}
	w.refused(local(2))
	for range maxSurplus + 20 {
		w.silent(local(2))
	}
	w.await(func() bool { return h.of(LimitAddress) == 1+maxSurplus+20 })
	for range 6 {
		w.lets(local(3)).Close()
		w.await(func() bool { return w.engine.Stats().Gate.Open == 0 })
	}
	if s := w.engine.Stats(); s.Gate.HalfOpen != 5 || s.Gate.Surplus != maxSurplus {
		t.Errorf("%+v", s.Gate)
	}
	if got := asks(own[0]); got != "HTTP/1.1 101 Switching Protocols" {
		t.Errorf("one of the five was answered %q", got)
	}
	own[1].Close()
	w.await(func() bool { return w.engine.Stats().Gate.HalfOpen == 3 })
	w.lets(local(2))
	g := &w.engine.gate
	w.await(func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.addresses) == 1 })
}

// TestMaxConns: upgraded clients are bounded, and a client that is being closed, or that
// has yet to authenticate where its address has many, gives way.
func TestMaxConns(t *testing.T) {
	var h hits
	w := newWorld(t, Config{MaxConns: 2, Limited: h.tell})
	a, b := w.lets(local(2)), w.lets(local(3))
	w.refused(local(4))
	if n := h.of(LimitConnections); n != 1 {
		t.Errorf("told %d times", n)
	}
	ca := &client{t: t, conn: a, br: a}
	ca.write(1, "close now") // and the client does not answer
	w.await(func() bool { return w.engine.Stats().Gate.Closing == 1 })
	w.lets(local(4))
	if n := h.of(LimitClosing); n != 1 {
		t.Errorf("%d that were being closed have given way", n)
	}
	b.Close()
	w.await(func() bool { return w.engine.Stats().Gate.Open == 1 })
}

// pender is a handler whose clients all have yet to authenticate.
type pender struct{ joiner }

func (p pender) Open(c *Conn, r *upgrade.Request) upgrade.Verdict {
	if !c.Pend() {
		return upgrade.Verdict{Status: 503}
	}
	return p.joiner.Open(c, r)
}

// pendingWorld is a world of such clients.
func pendingWorld(t *testing.T, cfg Config) (*world, *hits) {
	h := new(hits)
	w := &world{t: t}
	cfg.Handler, cfg.Limited = pender{}, h.tell
	w.engine = start(t, cfg)
	return w, h
}

// isTold reads up to the close frame of a client that had to give way.
func isTold(t *testing.T, conn net.Conn) {
	t.Helper()
	got, err := io.ReadAll(conn)
	if !strings.Contains(string(got), "\x10\x21too many connections wait") { // 4129
		t.Errorf("not told that it had to give way: %q, %v", got, err)
	}
}

// TestPendingGiveWay: at the bound of those that have yet to authenticate, the oldest of
// the address that has the most gives way to another address, and to no client of its own.
func TestPendingGiveWay(t *testing.T) {
	w, h := pendingWorld(t, Config{MaxPending: 3})
	first := w.lets(local(2))
	second := w.lets(local(2))
	w.lets(local(2))
	w.refused(local(2))
	w.lets(local(3))
	isTold(t, first)
	w.refused(local(3)) // two to one: as many would it have itself
	c := &client{t: t, conn: second, br: second}
	c.write(1, "auth")
	w.await(func() bool { return w.engine.Stats().Authenticated == 1 })
	w.lets(local(3))
	if n := h.of(LimitPending); n != 1 {
		t.Errorf("%d had to give way", n)
	}
	if s := w.engine.Stats(); s.Gate.Pending != 3 {
		t.Errorf("%+v", s.Gate)
	}
}

// TestPendingDoNotCount: clients that never authenticate do not keep others out.
func TestPendingDoNotCount(t *testing.T) {
	w, h := pendingWorld(t, Config{MaxConns: 4})
	first := w.lets(local(2))
	for range 3 {
		w.lets(local(2))
	}
	w.refused(local(2))
	w.lets(local(3))
	isTold(t, first)
	w.lets(local(4))
	w.refused(local(4))
	if n := h.of(LimitPending); n != 2 {
		t.Errorf("%d had to give way", n)
	}
}

// TestFallingAreFew: dropped sockets that are not closed yet stop the acceptor, so that
// they never take all descriptors.
func TestFallingAreFew(t *testing.T) {
	w := newWorld(t, Config{})
	g := &w.engine.gate
	g.mu.Lock()
	g.falling = maxFalling
	g.mu.Unlock()
	w.silent(local(2)).Close() // may have been waited for before
	conn := w.silent(local(2))
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	fmt.Fprint(conn, get("/ws?me"))
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes were read of one that was not to be accepted", n)
	}
	g.mu.Lock()
	g.falling--
	g.mu.Unlock()
	g.landed.Signal()
	conn.SetReadDeadline(time.Now().Add(testwait.Patience))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("not accepted once one was closed: %v", err)
	}
	g.mu.Lock()
	g.falling = 0
	g.mu.Unlock()
}
