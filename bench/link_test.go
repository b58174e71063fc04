package bench

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/link"
	"tapecast/rooms/testwait"
)

// within runs f in a network namespace: the sockets that it makes stay there.
func within(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		h, err := os.Open("/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(h.Fd()), unix.CLONE_NEWNET)
			_ = h.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestLink: bytes cross a link whole, and take its delay in both directions.
func TestLink(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("making network namespaces takes root and iproute2")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("there is no /dev/net/tun")
	}
	const delay = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- link.Serve(ctx, link.Config{Name: "tapecast-test", Delay: delay}, func() { close(up) })
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat("/run/netns/tapecast-test-far"); err == nil {
			t.Error("a namespace is left")
		}
	}()
	select {
	case <-up:
	case err := <-ended:
		ended <- nil
		t.Skip("no link can be made here: ", err)
	}
	var ln net.Listener
	within(t, "tapecast-test-near", func() (err error) {
		ln, err = net.Listen("tcp", link.Near+":0")
		return err
	})
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	within(t, "tapecast-test-far", func() error {
		began := time.Now()
		c, err := net.DialTimeout("tcp", ln.Addr().String(), testwait.Patience)
		if err != nil {
			return err
		}
		defer c.Close()
		const n = 1 << 20
		go func() { _, _ = c.Write(make([]byte, n)) }()
		if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
			return err
		}
		if took := time.Since(began); took < 4*delay {
			t.Errorf("a connection and an echo took %s, less than two round trips of %s", took, 2*delay)
		}
		return nil
	})
}
