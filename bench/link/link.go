package link

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Config is a slow link between two network namespaces. It takes root, iproute2 and /dev/net/tun.
type Config struct {
	Name  string        // the namespaces are NAME-near and NAME-far
	Delay time.Duration // in each direction: half of the round trip
	Queue int           // most packets under way in one direction; more are dropped. 0: 100,000
}

// Addresses of the two ends of a link, each in its namespace.
const (
	Near = "10.77.0.1"
	Far  = "10.77.0.2"
)

// linkMTU is the longest packet that crosses a link.
const linkMTU = 1500

// Serve keeps the link up until ctx ends. It calls ready when packets cross the link.
func Serve(ctx context.Context, cfg Config, ready func()) error {
	if cfg.Queue == 0 {
		cfg.Queue = 100_000
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ends [2]*os.File
	for i, end := range []struct{ side, addr, peer string }{{"near", Near, Far}, {"far", Far, Near}} {
		ns := cfg.Name + "-" + end.side
		dev := "tc" + end.side
		if err := ip("netns", "add", ns); err != nil {
			return err
		}
		defer func() { _ = ip("netns", "del", ns) }() // if it stays, the next link reports it
		f, err := openTun(dev)
		if err != nil {
			return err
		}
		defer f.Close()
		ends[i] = f
		for _, args := range []string{
			"link set " + dev + " netns " + ns,
			"-n " + ns + " addr add " + end.addr + " peer " + end.peer + " dev " + dev,
			"-n " + ns + " link set dev " + dev + " mtu " + fmt.Sprint(linkMTU) + " txqueuelen 10000 up",
			"-n " + ns + " link set lo up",
		} {
			if err := ip(strings.Fields(args)...); err != nil {
				return err
			}
		}
	}
	failed := make(chan error, 4)
	go carry(ctx, cfg, ends[0], ends[1], failed)
	go carry(ctx, cfg, ends[1], ends[0], failed)
	ready()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// openTun makes a network device. Its packets are read from and written to the file.
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a network device (as root?): %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
		return nil, fmt.Errorf("cannot make the network device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

type packet struct {
	due time.Time
	p   []byte
}

// carry moves packets from one end to the other. Each leaves the delay after it came.
func carry(ctx context.Context, cfg Config, from, to *os.File, failed chan<- error) {
	way := make(chan packet, cfg.Queue)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case p := <-way:
				time.Sleep(time.Until(p.due))
				if _, err := to.Write(p.p); err != nil && ctx.Err() == nil {
					failed <- fmt.Errorf("link: %w", err)
					return
				}
			}
		}
	}()
	buf := make([]byte, linkMTU+64)
	for {
		n, err := from.Read(buf)
		if err != nil {
			if ctx.Err() == nil {
				failed <- fmt.Errorf("link: %w", err)
			}
			return
		}
		select {
		case way <- packet{time.Now().Add(cfg.Delay), append([]byte(nil), buf[:n]...)}:
		default: // the queue is full: a router would drop it too
		}
	}
}
