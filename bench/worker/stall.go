package worker

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// staller stops all clients of a loop from reading for a while.
type staller struct {
	from, to int64 // monotonic
	stop     *atomic.Bool
	found    job.Stall
	done     bool
}

// sit sleeps until the stall is over, and looks into the buffers.
func (s *staller) sit(l *loop) {
	if s.done {
		return
	}
	s.done = true
	began := l.clock.Now()
	for now := began; now < s.to && !s.stop.Load(); now = l.clock.Now() {
		machine.SleepUntil(min(s.to, now+1e8))
	}
	s.found = job.Stall{Clients: len(l.clients), Seconds: float64(l.clock.Now()-began) / 1e9, Unsent: -1,
		MostUnsent: -1}
	peers := map[socketPair]int{}
	for i := range l.clients {
		c := &l.clients[i]
		if c.state != stJoined {
			s.found.Gone++
			continue
		}
		n, err := unix.IoctlGetInt(int(c.fd), unix.SIOCINQ)
		if err != nil {
			l.tell(fmt.Sprintf("client %d: cannot ask for the bytes received: %v", i, err))
			continue
		}
		s.found.Received += int64(n)
		s.found.MostRecv = max(s.found.MostRecv, int64(n))
		if p, ok := pairOf(int(c.fd)); ok {
			peers[p] = i
		}
	}
	unsent, err := sendQueues(peers)
	if err != nil {
		l.tell("cannot read the gateway's send buffers: " + err.Error())
	}
	if len(unsent) > 0 {
		s.found.Unsent, s.found.MostUnsent = 0, 0
	}
	for _, n := range unsent {
		s.found.Unsent += n
		s.found.MostUnsent = max(s.found.MostUnsent, n)
	}
}

// socketPair is a connection as its other end sees it, with that end as local.
type socketPair struct{ local, remote netip.AddrPort }

func pairOf(fd int) (socketPair, bool) {
	here, err1 := unix.Getsockname(fd)
	there, err2 := unix.Getpeername(fd)
	a, ok1 := here.(*unix.SockaddrInet4)
	b, ok2 := there.(*unix.SockaddrInet4)
	if err1 != nil || err2 != nil || !ok1 || !ok2 {
		return socketPair{}, false
	}
	return socketPair{
		local:  netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port)),
		remote: netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)),
	}, true
}

// sendQueues returns the bytes in the send buffers of the wanted sockets that are on this
// machine. They come from /proc/net/tcp and from /proc/net/tcp6, which has the sockets of
// a gateway that listens on both families.
func sendQueues(wanted map[socketPair]int) (map[int]int64, error) {
	found := map[int]int64{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			if os.IsNotExist(err) {
				continue
			}
			return found, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			p, queue, ok := parseProcTCP(lines.Text())
			if i, want := wanted[p]; ok && want {
				found[i] = queue
			}
		}
		err = lines.Err()
		_ = f.Close() // opened for reading only
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// parseProcTCP parses one line of /proc/net/tcp or tcp6: both ends, and the send queue.
func parseProcTCP(line string) (socketPair, int64, bool) {
	w := strings.Fields(line)
	if len(w) < 5 {
		return socketPair{}, 0, false
	}
	local, ok1 := parseProcAddr(w[1])
	remote, ok2 := parseProcAddr(w[2])
	tx, _, ok3 := strings.Cut(w[4], ":")
	n, err := strconv.ParseInt(tx, 16, 64)
	return socketPair{local, remote}, n, ok1 && ok2 && ok3 && err == nil
}

// parseProcAddr parses an address of /proc/net/tcp: hexadecimal words in host order, and the port.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	ip, port, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || len(ip)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var b []byte
	for ; ip != ""; ip = ip[8:] {
		w, err := strconv.ParseUint(ip[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(w))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}
