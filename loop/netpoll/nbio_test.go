package netpoll

import (
	"net"
	"testing"
	"time"

	"github.com/lesismal/nbio"
	"golang.org/x/sys/unix"
)

// TestNbioLeavesTheDescriptorToUs holds what the engine rests on: of a
// connection that is none of the standard library's, nbio closes no descriptor,
// whatever it is told.
func TestNbioLeavesTheDescriptorToUs(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	nb, err := nbio.NBConn(bare{fd: pair[0]})
	if err != nil {
		t.Fatal(err)
	}
	fd := nb.Hash()
	nb.Close()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Fatalf("nbio closed descriptor %d: %v", fd, err)
	}
	unix.Close(fd)
}

// TestNbioWritevLosesData shows why nothing here uses nbio's Writev: after a
// short write, the buffers behind the one that was cut are neither sent nor
// kept, and no error says so. Should it ever pass them on, this test says
// that the trap is gone.
func TestNbioWritevLosesData(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e := nbio.NewEngine(nbio.Config{})
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	out, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	nb, err := e.AddConn(out)
	if err != nil {
		t.Fatal(err)
	}
	defer nb.Close()
	const each, buffers = 1 << 20, 16 // more than the kernel takes at once
	bufs := make([][]byte, buffers)
	for i := range bufs {
		bufs[i] = make([]byte, each)
	}
	n, err := nb.Writev(bufs)
	if err != nil {
		t.Fatalf("Writev reported %v", err)
	}
	total := 0
	buf := make([]byte, 1<<20)
	for total < each*buffers {
		in.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		k, err := in.Read(buf)
		total += k
		if err != nil {
			break
		}
	}
	if total == each*buffers {
		t.Fatalf("all %d bytes arrived (Writev reported %d): the trap is gone, doc.go may say so", total, n)
	}
	t.Logf("%d of %d bytes arrived, Writev reported %d and no error", total, each*buffers, n)
}
