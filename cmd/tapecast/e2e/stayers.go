package e2e

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var tradesStart = []byte(`{"room":"trades",`)

// stayers are clients of trades that are timed by the kernel: by when the last bytes of a read had
// come to their sockets. So the delay of the test's own process, busy with thousands of others,
// does not count.
type stayers struct {
	*crowd
	trades, orders []time.Duration
	came           time.Time
	stamped        bool // the kernel begins some time after the first socket has asked
}

func newStayers(t testing.TB, n int) *stayers {
	s := &stayers{crowd: openCrowd(t, n, func(n int) string { return fmt.Sprint("stays", n) }, true)}
	oob := make([]byte, 128)
	s.receive = func(fd int, b []byte) (int, error) {
		n, oobn, _, _, err := syscall.Recvmsg(fd, b, oob, 0)
		s.came = arrival(oob[:max(oobn, 0)])
		s.stamped = s.stamped || !s.came.IsZero()
		return n, err
	}
	s.prepare = func(fd int) error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1) }
	s.frame = func(g *guest, p []byte) {
		if !s.stamped {
			return
		}
		_, at, ok := bytes.Cut(p, []byte(`{"at":`))
		ns, err := strconv.ParseInt(string(at[:max(0, bytes.IndexByte(at, ','))]), 10, 64)
		if !ok || err != nil || s.came.IsZero() {
			s.fault(g, "%v in %.200s, which came at %v", err, p, s.came)
			return
		}
		to := &s.orders
		if bytes.HasPrefix(p, tradesStart) {
			to = &s.trades
		}
		*to = append(*to, s.came.Sub(time.Unix(0, ns)))
	}
	return s
}

// latencies returns the latencies since the last call.
func (s *stayers) latencies() (trades, orders []time.Duration) {
	s.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	trades, orders = s.trades, s.orders
	s.trades, s.orders = nil, nil
	return trades, orders
}

// arrival returns the kernel's receive time in a control message; zero: there is none.
func arrival(oob []byte) time.Time {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS &&
			len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
			ts := (*syscall.Timespec)(unsafe.Pointer(&m.Data[0]))
			return time.Unix(ts.Sec, ts.Nsec)
		}
	}
	return time.Time{}
}
