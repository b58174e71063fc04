package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network of its own, which one link joins to the machine's.
type namespace struct {
	t     testing.TB
	name  string // also of the link's outer end
	addr  string // of the machine, on the link
	inner string // the link's end inside
	file  *os.File
}

// newNamespace skips the test where networks cannot be made.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	n := &namespace{t: t, name: fmt.Sprint("tc", os.Getpid()), inner: "eth0"}
	net := fmt.Sprintf("10.213.%d.", os.Getpid()%251)
	n.addr = net + "1"
	suite.reap.tell("network", n.name)
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "delete", n.name).Run() // the link goes with it
		suite.reap.tell("offline", n.name)
	})
	for _, args := range [][]string{
		{"netns", "add", n.name},
		{"link", "add", n.name, "type", "veth", "peer", "name", n.inner, "netns", n.name},
		{"address", "add", n.addr + "/30", "dev", n.name},
		{"link", "set", n.name, "up"},
		{"-n", n.name, "address", "add", net + "2/30", "dev", n.inner},
		{"-n", n.name, "link", "set", n.inner, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("cannot make a network of its own: ip %v: %v %s", args, err, out)
		}
	}
	var err error
	if n.file, err = os.Open("/run/netns/" + n.name); err != nil {
		t.Skipf("cannot enter a network of its own: %v", err)
	}
	t.Cleanup(func() { n.file.Close() })
	return n
}

// link takes the link down or up, at the clients' end or at the machine's.
func (n *namespace) link(inside bool, state string) {
	n.t.Helper()
	args := []string{"link", "set", n.name, state}
	if inside {
		args = []string{"-n", n.name, "link", "set", n.inner, state}
	}
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %v: %v %s", args, err, out)
	}
}

// dial connects from inside. A socket stays in the network in which it was made, so only the thread
// that makes it has to be there.
func (n *namespace) dial(ctx context.Context, d *net.Dialer, network, addr string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err = unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = d.DialContext(ctx, network, addr)
		}
	}()
	<-done
	return conn, err
}
