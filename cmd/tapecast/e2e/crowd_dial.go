package e2e

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects a guest, and sends hello after the upgrade if there is any. Any goroutine
// may call it.
func (c *crowd) dial(g *guest, node *gateway, query string, hello []byte) error {
	at, err := netip.ParseAddrPort(node.public)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: g.source()})); err != nil {
		syscall.Close(fd)
		return err
	}
	began := time.Now()
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		syscall.Close(fd)
		return err
	}
	if err := errors.Join(c.prepare(fd), syscall.SetNonblock(fd, true),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, []byte("GET /ws"+query+" HTTP/1.1\r\nHost: "+node.public+upgradeHead)); err != nil &&
		!errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		syscall.Close(fd)
		return err
	} // the reader notices a connection that has ended
	c.mu.Lock()
	defer c.mu.Unlock()
	g.fd, g.open, g.hello, g.rest, g.dialed, g.still = fd, false, hello, nil, began, false
	return syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, fd, g.event())
}

// source returns the guest's own address, one of several. With 15,000 connections from one
// address, the kernel looks for a free port for longer than a connection takes.
func (g *guest) source() [4]byte { return [4]byte{127, 0, 0, byte(2 + g.n%8)} }

// The key and its answer are RFC 6455's example (section 1.3).
const (
	upgradeHead = "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
		"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	upgradeProof = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// arrive dials all guests within about the given time, each to the node that to returns.
// A guest that is due does not wait for a processor: clients have machines of their own.
func (c *crowd) arrive(over time.Duration, to func(g *guest) (node *gateway, query string, hello []byte)) {
	c.t.Helper()
	began := time.Now()
	const hands = 2
	var failed [hands]error
	onAll(hands, func(hand int) {
		if over > 0 {
			defer hurry()()
		}
		for i := hand; i < len(c.guests); i += hands {
			due(began, time.Duration(i)*over/time.Duration(len(c.guests)))
			node, query, hello := to(c.guests[i])
			if err := c.dial(c.guests[i], node, query, hello); err != nil {
				failed[hand] = err
				return
			}
		}
	})
	if err := errors.Join(failed[:]...); err != nil {
		c.t.Fatalf("cannot connect: %v", err)
	}
}

// hurry puts the goroutine on a thread of its own that runs ahead of others. It gives the
// runtime one more processor, so that the goroutine does not wait for one.
func hurry() (done func()) {
	runtime.LockOSThread()
	processors(1)
	goBefore(0)
	return func() {
		processors(-1)
		// Still locked: the thread ends with the goroutine, and its priority with it.
	}
}

var counting sync.Mutex

// processors gives the runtime more processors.
func processors(more int) {
	counting.Lock()
	defer counting.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + more)
}

// goBefore makes a thread run as soon as it can; 0 is the caller's. Without the privilege
// it changes nothing.
func goBefore(thread int) {
	a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if unix.SchedSetAttr(thread, &a, 0) != nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, -10)
	}
}

// standApart makes everything but the gateways act as if on machines of their own. The
// broker and the test's producer do not wait for a processor, and the test's clients run
// behind all other processes.
func (k *cluster) standApart(t testing.TB) {
	t.Helper()
	producers := 0
	threads(t, "self", func(id int, name string) {
		if strings.HasPrefix(name, "rdk:") {
			producers++
			goBefore(id)
		} else {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, 10) // a thread that has ended needs none
		}
	})
	if producers == 0 {
		t.Error("no thread of librdkafka's is told by its name")
	}
	if k.dir == "" {
		return
	}
	for n := range k.n {
		pid, err := os.ReadFile(filepath.Join(k.dir, strconv.Itoa(n+1), "pid"))
		if err != nil {
			t.Fatal(err)
		}
		threads(t, strings.TrimSpace(string(pid)), func(id int, name string) {
			if !strings.Contains(name, "CompilerThre") { // the compiler would take all of it for seconds
				goBefore(id)
			}
		})
	}
}

// threads calls f for each thread of a process.
func threads(t testing.TB, pid string, f func(id int, name string)) {
	t.Helper()
	dir := filepath.Join("/proc", pid, "task")
	tasks, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		name, _ := os.ReadFile(filepath.Join(dir, task.Name(), "comm"))
		if id, err := strconv.Atoi(task.Name()); err == nil {
			f(id, string(name))
		}
	}
}
