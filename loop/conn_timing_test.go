package loop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// TestSizes holds the structs of which there are hundreds of thousands to the
// sizes that doc.go states.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 224 {
		t.Errorf("a Conn takes %d bytes", n)
	}
	if n := unsafe.Sizeof(member.Member{}); n > 24 {
		t.Errorf("a member takes %d bytes", n)
	}
}

// BenchmarkIdleConn reports the live heap of one idle connection in seven
// rooms, four of them private, each of which has delivered a message. The
// clients are bare descriptors and take no heap.
func BenchmarkIdleConn(b *testing.B) {
	const conns = 4000
	for b.Loop() {
		w := newWorld(b, Config{}, &rooms.Class{Name: "private", Owner: "{sub}", RetainAge: time.Second})
		before := liveHeap()
		var fds []int
		for i := range conns {
			fds = append(fds, w.bareDial(b, fmt.Sprintf("u%d,all,side,own:a%d,own:b%d,own:c%d,own:d%d", i, i, i, i, i)))
		}
		w.await(func() bool { return w.engine.Stats().Members == 6*conns })
		for i := range conns {
			w.publish(`{"n":1}`, fmt.Sprintf("own:a%d", i), fmt.Sprintf("own:b%d", i), fmt.Sprintf("own:c%d", i),
				fmt.Sprintf("own:d%d", i))
		}
		w.await(func() bool { return w.engine.Stats().Frames >= 4*conns })
		w.await(func() bool { return w.table.Stats().TapeBytes == 0 }) // retention has passed
		w.swept()
		b.ReportMetric(float64(liveHeap()-before)/conns, "B/conn")
		for _, fd := range fds {
			unix.Close(fd)
		}
		w.await(func() bool { return w.engine.Stats().Connections == 0 })
	}
}

// swept waits until every private room was checked once. A room that nobody is in goes when
// its turn comes: between two times that it does, all others have theirs.
func (w *world) swept() {
	names := []string{"empty"}
	for i := range 64 { // some in each shard
		names = append(names, fmt.Sprint("own:empty", i))
	}
	for range 2 {
		was := w.table.Stats().Rooms
		conn, _ := w.dial(names...)
		w.await(func() bool { return w.table.Stats().Rooms == was+64 })
		w.publish("1", names[1:]...) // a room that has had nothing is not kept until its turn
		w.settle()
		conn.Close()
		w.await(func() bool { return w.table.Stats().Rooms == was })
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// bareDial connects without any of the standard library's memory, and reads
// the answer to the upgrade.
func (w *world) bareDial(t testing.TB, query string) int {
	fd := w.bareConnect(t)
	w.bareUpgrade(t, fdConn{fd: fd}, query)
	return fd
}

func (w *world) bareConnect(t testing.TB) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	var port int
	fmt.Sscanf(w.engine.Addr().String(), "127.0.0.1:%d", &port)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func (w *world) bareUpgrade(t testing.TB, conn io.ReadWriter, query string) {
	fmt.Fprintf(conn, "GET /ws?%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", query)
	var got []byte
	buf := make([]byte, 1024)
	for !bytes.Contains(got, []byte("joined")) {
		n, err := conn.Read(buf)
		if err != nil || n == 0 {
			t.Fatalf("no answer to the upgrade: %v", err)
		}
		got = append(got, buf[:n]...)
	}
}

// fdConn is a blocking socket without the standard library's memory.
type fdConn struct {
	net.Conn
	fd int
}

func (c fdConn) Write(p []byte) (int, error) { return unix.Write(c.fd, p) }

func (c fdConn) Read(p []byte) (int, error) {
	n, err := unix.Read(c.fd, p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

// BenchmarkIdleSecureConn reports the live heap of one idle connection without
// rooms: plain, and over TLS after it has said something. Of the clients nothing
// but descriptors is left.
func BenchmarkIdleSecureConn(b *testing.B) {
	const conns = 2000
	f := func(name string, version uint16) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				cfg := Config{}
				if version != 0 {
					cfg.TLS = testTLS(b)
				}
				w := newWorld(b, cfg)
				before := liveHeap()
				var fds []int
				for i := range conns {
					fd := w.bareConnect(b)
					fds = append(fds, fd)
					conn := net.Conn(fdConn{fd: fd})
					if version != 0 {
						trust := w.trust.Clone()
						trust.MaxVersion = version
						conn = tls.Client(conn, trust)
					}
					w.bareUpgrade(b, conn, fmt.Sprint("u", i))
					frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame(make([]byte, 4000))))
					if err != nil {
						b.Fatal(err)
					}
					conn.Write(frame)
					for got, buf := 0, make([]byte, 8000); got < 4000; {
						n, err := conn.Read(buf)
						if err != nil {
							b.Fatal(err)
						}
						got += n
					}
				}
				b.ReportMetric(float64(liveHeap()-before)/conns, "B/conn")
				for _, fd := range fds {
					unix.Close(fd)
				}
				w.await(func() bool { return w.engine.Stats().Connections == 0 })
			}
		})
	}
	f("plain", 0)
	f("TLS1.2", tls.VersionTLS12)
	f("TLS1.3", tls.VersionTLS13)
}
