package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

const stallConfig = `
server: {listen: "127.0.0.1:0", drain: 3s BUFFERS}
limits: {messages_per_second: 0, pending: 0, request_cost: 0, snapshot_bytes: 0}
rooms:
  - {match: "quotes", class: market}
auto_join: [quotes]
ingest:
  routes:
    - {topic: quotes, rooms: [quotes], key: "{@key}", type: quote}
`

const stallPartitions = 3

// TestStalledClients: one in five clients of a conflated room stops reading for a while. That costs
// the others nothing and the gateway no memory. When it reads again it gets what the kernels held
// for it, and then each key once at most, with the newest of all.
func TestStalledClients(t *testing.T) {
	onEachAlone(t, func(t *testing.T, k *cluster) {
		clients, keys, pad, rate, calm, stall, buffers := 100, 50, 1000, 4000.0, time.Second, 4*time.Second,
			", send_buffer: 16KiB, notsent_lowat: 16KiB"
		if k.full() {
			clients, keys, pad, rate, calm, stall, buffers = 9_800, 500, 20, 200, 30*time.Second, 60*time.Second, ""
		}
		k.topic(t, "quotes", stallPartitions)
		g := start(t, config(k, strings.Replace(stallConfig, "BUFFERS", buffers, 1)))
		w := k.producer(t)
		s := newStalls(newCrowd(t, clients, func(n int) string { return fmt.Sprint("c", n) }), keys)
		timed := newStayers(t, min(200, clients/5))
		defer timed.disperse()
		defer s.disperse()
		for key := range keys { // all keys are there before any client is
			w.send("quotes", partitionOf(quote(key), stallPartitions), []byte(quote(key)),
				[]byte(`{"at":0,"first":true}`))
		}
		w.flush()
		if k.full() {
			k.standApart(t)
		}
		for _, c := range []*crowd{timed.crowd, s.crowd} {
			c.arrive(0, func(u *guest) (*gateway, string, []byte) { return g, "?token=" + g.token(u.user), nil })
		}
		everybody := len(timed.guests) + clients
		eventually(t, time.Minute, "all are there",
			func() bool { return g.metric("tapecast_subscriptions") == float64(everybody) })

		stop := s.publish(w, keys, pad, rate)
		defer stop()
		lasts := func(d time.Duration) { // so long is published
			to := s.published.Load() + int64(rate*d.Seconds())
			eventually(t, d+time.Minute, "quotes of "+d.String(), func() bool { return s.published.Load() >= to })
		}
		lasts(calm / 5)
		timed.latencies()
		lasts(calm)
		_, before := timed.latencies()
		kept := func() float64 { return g.metric("tapecast_tape_bytes") + g.metric("tapecast_last_values_bytes") }
		heap, tapes := g.heap(), kept()
		s.do(func() {
			for _, u := range s.slow() {
				s.hold(u, true)
			}
		})
		timed.latencies() // time for a garbage collection
		lasts(stall)
		_, during := timed.latencies()
		grown, more := g.heap()-heap, kept()-tapes
		stop()
		topic := k.read(t, "quotes")
		conflated := g.metric("tapecast_conflated_frames_total")
		s.goOn(g)
		s.await(time.Minute, "the last value of every key", func() bool { return s.levelWith(topic) })

		t.Logf("%d of %d clients did not read for %s, %d keys, %v msg/s", len(s.slow()), everybody, stall, keys, rate)
		t.Logf("the others, from the producer to the socket: before %s; during %s", spread(before), spread(during))
		t.Logf("heap %+.0f KB after a collection, of which tapes and last values %+.0f KB", grown/1e3, more/1e3)
		t.Logf("the kernels held %.0f KB of each (most %.0f KB); then came %.0f frames (most %d), of %d keys",
			s.heldMean()/1e3, float64(slices.Max(s.held))/1e3, float64(s.extra)/float64(len(s.slow())), s.most, keys)
		t.Logf("%.0f frames spared by conflation", g.metric("tapecast_conflated_frames_total")-conflated)
		if s.extra == 0 {
			t.Error("the kernels held all of it: this shows nothing")
		}
		if k.full() && grown-more > 1e6 {
			t.Errorf("the heap has grown by %.0f bytes beyond retention, the bar is 1 MB", grown-more)
		}
	})
}

func quote(key int) string { return fmt.Sprintf("Q%04d", key) }

// stalls is a crowd in which each fifth guest stops reading. These know the newest of each key that
// they have seen.
type stalls struct {
	*crowd
	newest [][]int64 // by guest and key: offset
	held   []int64   // by guest: bytes that the kernels held when it read again
	until  []int64   // by guest: where those end, in bytes since the upgrade; 0: it has not stalled
	twice  []map[int]bool
	extra  int // frames after what was held, of all guests
	most   int // the most of one guest

	published atomic.Int64
}

func newStalls(c *crowd, keys int) *stalls {
	n := len(c.guests)
	s := &stalls{crowd: c, newest: make([][]int64, n), held: make([]int64, n), until: make([]int64, n),
		twice: make([]map[int]bool, n)}
	for _, g := range s.slow() {
		s.newest[g.n] = slices.Repeat([]int64{-1}, keys)
		s.twice[g.n] = map[int]bool{}
	}
	c.frame = s.take
	c.said = func(g *guest, method string, p notified) {
		if p.Error != nil || method == "gap" {
			s.fault(g, "%s %+v %s", method, p.Error, p.Params)
		}
	}
	return s
}

func (s *stalls) slow() (list []*guest) {
	for i := 0; i < len(s.guests); i += 5 {
		list = append(list, s.guests[i])
	}
	return list
}

var keyLabel = []byte(`,"key":"Q`)

func (s *stalls) take(g *guest, p []byte) {
	newest := s.newest[g.n]
	if newest == nil {
		return
	}
	at := bytes.Index(p, keyLabel) + len(keyLabel)
	key, err := strconv.Atoi(string(p[at : at+4]))
	_, off, _, _, ok := posOf(p)
	if err != nil || !ok || off <= newest[key] {
		s.fault(g, "after %d of key %d came %.200s", newest[key], key, p)
		return
	}
	newest[key] = off
	if until := s.until[g.n]; until > 0 && g.bytes >= until {
		if s.twice[g.n][key] {
			s.fault(g, "key %d twice after what was held", key)
		}
		s.twice[g.n][key] = true
		s.extra++
		s.most = max(s.most, len(s.twice[g.n]))
	}
}

// publish writes quotes until it is stopped, each key in turn and some more often.
func (s *stalls) publish(w *producer, keys, pad int, rate float64) (stop func()) {
	var enough atomic.Bool
	done := w.meanwhile(func() {
		defer hurry()()
		began, tail := time.Now(), strings.Repeat("x", pad)
		for i := 0; !enough.Load(); i++ {
			due(began, time.Duration(float64(i)/rate*float64(time.Second)))
			key := i / 2 % keys
			if i%2 > 0 {
				key = i / 2 % 7
			}
			w.send("quotes", partitionOf(quote(key), stallPartitions), []byte(quote(key)),
				fmt.Appendf(nil, `{"at":%d,"i":%d,"pad":"%s"}`, time.Now().UnixNano(), i, tail))
			s.published.Add(1)
		}
		w.flush()
	})
	return func() { enough.Store(true); <-done }
}

// goOn makes the slow guests read again, after it has noted what the kernels hold of each.
func (s *stalls) goOn(g *gateway) {
	s.t.Helper()
	queues, err := sendQueues(g)
	if err != nil {
		s.t.Fatal(err)
	}
	s.do(func() {
		for _, u := range s.slow() {
			unread, err := unreadBytes(u.fd)
			var at netip.AddrPort
			if here, err := syscall.Getsockname(u.fd); err == nil {
				here := here.(*syscall.SockaddrInet4)
				at = netip.AddrPortFrom(netip.AddrFrom4(here.Addr), uint16(here.Port))
			}
			unsent, there := queues[at]
			if err != nil || !there {
				s.fault(u, "no word of what is held for it: %v", err)
				continue
			}
			s.held[u.n] = int64(unread) + unsent
			s.until[u.n] = max(1, u.bytes+int64(len(u.rest))+s.held[u.n])
			s.hold(u, false)
		}
	})
}

func (s *stalls) heldMean() float64 {
	sum := int64(0)
	for _, n := range s.held {
		sum += n
	}
	return float64(sum) / float64(len(s.slow()))
}

// levelWith reports whether each slow guest has the last value of every key.
func (s *stalls) levelWith(topic [][]record) bool {
	for part, recs := range topic {
		last := map[string]int64{}
		for _, r := range recs {
			last[string(r.key)] = r.offset
		}
		for name, off := range last {
			key, _ := strconv.Atoi(name[1:])
			for _, g := range s.slow() {
				if have := s.newest[g.n][key]; have > off {
					s.fault(g, "%d:%d of %s, which is not in the topic", part, have, name)
				} else if have < off {
					return false
				}
			}
		}
	}
	return true
}

// unreadBytes returns the bytes in a socket that were not read.
func unreadBytes(fd int) (int, error) {
	var n int32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCINQ,
		uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// sendQueues returns the bytes in the gateway's send buffers, by the client's address and port:
// clients of different addresses may have the same port.
func sendQueues(g *gateway) (map[netip.AddrPort]int64, error) {
	at, err := netip.ParseAddrPort(g.public)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	a4 := at.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a4[:]), at.Port())
	queues := map[netip.AddrPort]int64{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != local {
			continue
		}
		ip, port, _ := strings.Cut(f[2], ":")
		unsent, _, _ := strings.Cut(f[4], ":")
		a, err1 := strconv.ParseUint(ip, 16, 32)
		p, err2 := strconv.ParseUint(port, 16, 16)
		n, err3 := strconv.ParseInt(unsent, 16, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", line, err)
		}
		binary.NativeEndian.PutUint32(a4[:], uint32(a))
		queues[netip.AddrPortFrom(netip.AddrFrom4(a4), uint16(p))] = n
	}
	return queues, nil
}
