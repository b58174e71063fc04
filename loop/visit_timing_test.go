package loop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tapecast/loop/netpoll"
	"tapecast/rooms"
)

// BenchmarkVisit reports what a visit of a pass costs, with one frame of 200 bytes
// to each send and with 80. The clients are datagram sockets whose other end drops
// what comes, so that the kernel's part, 6 to 8 us over TCP, hides less of ours.
// With 18,000 members it tells what memory costs that does not lie side by side.
func BenchmarkVisit(b *testing.B) {
	for _, frames := range []int{1, 80} {
		b.Run(fmt.Sprint("frames=", frames), func(b *testing.B) { benchVisit(b, 1000, frames, inOrder, streamNot) })
		for how, name := range map[streaming]string{streamPlain: "events", streamMarked: "events-with-ids"} {
			b.Run(fmt.Sprint("frames=", frames, "/", name), func(b *testing.B) {
				benchVisit(b, 1000, frames, inOrder, how)
			})
		}
	}
	for order, name := range [...]string{inOrder: "ordered", scattered: "scattered", allScattered: "all-scattered"} {
		b.Run("members=18000/"+name, func(b *testing.B) {
			benchVisit(b, 18_000, 1, visitOrder(order), streamNot)
		})
	}
}

// visitOrder is how what a pass visits lies in memory.
type visitOrder int

const (
	inOrder      visitOrder = iota
	scattered               // the connections
	allScattered            // the connections, and the kernel's part of them
)

// visited returns connections in the order in which a pass visits them.
func visited(b *testing.B, l *Loop, members int, order visitOrder) []*Conn {
	sink := dropping(b)
	conns, sockets := make([]*Conn, members), make([]int, members)
	for i := range conns {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, sink); err != nil {
			b.Fatal(err)
		}
		conns[i], sockets[i] = new(Conn), fd
	}
	if order != inOrder {
		rand.Shuffle(members, func(i, j int) { conns[i], conns[j] = conns[j], conns[i] })
	}
	if order == allScattered {
		rand.Shuffle(members, func(i, j int) { sockets[i], sockets[j] = sockets[j], sockets[i] })
	}
	for i, c := range conns {
		*c = Conn{loop: l, id: uint64(i), sock: netpoll.SocketOf(sockets[i]), state: stOpen, slot: -1}
	}
	return conns
}

// benchVisit measures the visits of one room's members.
func benchVisit(b *testing.B, members, frames int, order visitOrder, how streaming) {
	w := newWorld(b, Config{})
	l := w.stillLoop(b)
	l.life.conns = visited(b, l, members, order)
	for _, c := range l.life.conns {
		c.stream = how
		c.enter(w.sub(b, l, "all"), 0)
	}
	sub := l.life.conns[0].members[0].Sub()
	value := `"` + strings.Repeat("x", 128) + `"`
	names := strings.Split(strings.Repeat(" all", frames), " ")[1:]
	for b.Loop() {
		b.StopTimer()
		w.publish(value, names...)
		w.settle()
		b.StartTimer()
		for l.grown(sub); len(l.hot) > 0; {
			l.hot.step(l)
			l.stats.publish(l)
		}
	}
	b.StopTimer()
	if n := l.stats.Frames; n != uint64(b.N*members*frames) {
		b.Fatalf("%d frames were sent in %d rounds", n, b.N)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/visit")
}

// BenchmarkPublishStats is what each turn of a loop pays for its figures.
func BenchmarkPublishStats(b *testing.B) {
	w := newWorld(b, Config{})
	l := w.stillLoop(b)
	for b.Loop() {
		l.stats.publish(l)
	}
}

// stillLoop is a loop that does not run.
func (w *world) stillLoop(t testing.TB) *Loop {
	t.Helper()
	l, err := newLoop(w.engine, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.release)
	return l
}

// sub joins a room for a loop that does not run.
func (w *world) sub(t testing.TB, l *Loop, name string) *rooms.Sub {
	p, _, _ := w.catalog.Resolve(name)
	done := make(chan *rooms.Join, 1)
	join := &rooms.Join{Rooms: []rooms.Member{{Name: name, Pattern: p}}, Done: func(j *rooms.Join) { done <- j }}
	w.table.Join(l.listener, join)
	return (<-done).Rooms[0].Sub
}

// dropping is the address of a socket whose filter drops what comes.
func dropping(t testing.TB) unix.Sockaddr {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: 1, Filter: &drop[0]}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil { // the kernel chooses a name
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
