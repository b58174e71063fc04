package loop

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tapecast/loop/netpoll"
	"tapecast/rooms/wire"
)

// bareConn is a connection of a loop that does not run, and the other end of it.
func bareConn(t *testing.T, l *Loop, id uint64) (c *Conn, read func() []byte) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	got := make([]byte, 1<<20)
	return &Conn{loop: l, id: id, sock: netpoll.SocketOf(pair[0]), state: stOpen, slot: -1}, func() []byte {
		n, _ := unix.Read(pair[1], got)
		return got[:max(n, 0)]
	}
}

// A storm brings thousands of replies and pings. Private messages go before them.
func TestOwedWait(t *testing.T) {
	w := newWorld(t, Config{})
	l := w.stillLoop(t)
	asker, replies := bareConn(t, l, 1)
	owner, messages := bareConn(t, l, 2)
	owner.enter(w.sub(t, l, "own:1"), 0)
	l.life.reply(asker, wire.AppendFrame(nil, wire.OpText, []byte("reply")))
	l.pings.ping(asker)
	l.life.pong(asker, nil)
	w.publish(`"mine"`, "own:1")
	w.settle()
	l.takeGrown()
	if b := messages(); !bytes.Contains(b, []byte(`"mine"`)) {
		t.Errorf("of the room came %q", b)
	}
	if b := replies(); len(b) > 0 {
		t.Errorf("the reply did not wait: %q", b)
	}
	l.owed.serve(l)
	if b := replies(); !bytes.Contains(b, []byte("reply")) {
		t.Errorf("of the reply came %q", b)
	}
}

// A private message goes first and waits for little: what its member has to catch up
// with in a large room is for another visit, and so is what others have.
func TestUrgentVisit(t *testing.T) {
	w := newWorld(t, Config{})
	l := w.stillLoop(t)
	all, own := w.sub(t, l, "all"), w.sub(t, l, "own:1")
	member, read := bareConn(t, l, 1)
	member.enter(all, 0)
	member.enter(own, 0)
	for i := range smallRoom {
		(&Conn{loop: l, id: uint64(i) + 2, state: stOpen, slot: -1}).enter(all, 0)
	}

	const backlog = 100
	value := `"` + strings.Repeat("x", 1000) + `"`
	for range backlog {
		w.publish(value, "all")
	}
	w.publish(`"mine"`, "own:1")
	w.settle()
	for range 3 { // wherever gather begins
		l.takeGrown()
		b := read()
		if at := bytes.Index(b, []byte(`"mine"`)); at < 0 || bytes.Contains(b[:at], []byte(`"xxx`)) ||
			len(b) > maxUrgent+2000 {
			t.Fatalf("%d bytes came, the private message at %d", len(b), at)
		}
		if !member.is(fReady) {
			t.Fatal("nobody sends the rest")
		}
		w.publish(`"mine"`, "own:1")
		w.settle()
	}
	l.takeGrown()
	had := bytes.Count(read(), []byte(`"xxx`))
	for l.ready.at < len(l.ready.conns) {
		l.ready.serve(l)
		had += bytes.Count(read(), []byte(`"xxx`))
	}
	if member.members[0].At() != backlog || had == 0 || had >= backlog {
		t.Errorf("the member is at %d after %d more of %d frames", member.members[0].At(), had, backlog)
	}
}
