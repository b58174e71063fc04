package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// HostileJob tells a hostile process what to do, and to whom.
type HostileJob struct {
	peerJob
	Kind        string   `json:"kind"`
	Connections int      `json:"connections"`
	Sources     []string `json:"sources"`
	Keys        Keys     `json:"keys"`
	Anonymous   bool     `json:"anonymous"`
	Users       int      `json:"users"` // 0: each connection is one
	Room        string   `json:"room"`
	Junk        string   `json:"junk"`
	Rate        float64  `json:"rate"`
}

// hostileOrder says when, in CLOCK_MONOTONIC.
type hostileOrder struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// HostileTally is how hostile clients fared.
type HostileTally struct {
	Err     string           `json:"err,omitempty"`
	Opened  int64            `json:"opened"`            // connections that stood, and were upgraded where they are
	Refused map[string]int64 `json:"refused,omitempty"` // those that did not, by why
	Closes  map[string]int64 `json:"closes,omitempty"`  // by the other side, by code and reason, or how else
	Stayed  int64            `json:"stayed"`            // connections that were there in the end
	Frames  int64            `json:"frames"`            // written; for silent and hello, pieces that are not frames
	Bytes   int64            `json:"bytes"`             // written
	Read    int64            `json:"read"`              // bytes of frames read
	Answers int64            `json:"answers"`           // text frames read
	Errors  map[string]int64 `json:"errors,omitempty"`  // answers that are errors, by code
}

func newHostileTally() *HostileTally {
	return &HostileTally{Refused: map[string]int64{}, Closes: map[string]int64{}, Errors: map[string]int64{}}
}

func (t *HostileTally) add(u *HostileTally) {
	t.Frames += u.Frames
	t.Bytes += u.Bytes
	t.Read += u.Read
	t.Answers += u.Answers
	for code, n := range u.Errors {
		t.Errors[code] += n
	}
}

// hostile is the hostile clients of a process, each on goroutines of its own.
type hostile struct {
	job   HostileJob
	kind  *hostileKind
	peer  *peer
	sign  signer
	flood *flood // of the kinds that have one
	hello []byte

	mu  sync.Mutex // guards out
	out *HostileTally
}

// Hostile is a process that holds hostile clients: it reads a HostileJob and then
// orders from in, one JSON value each, and writes one answer each to out. It
// returns when in ends.
func Hostile(in io.Reader, out io.Writer) error {
	raiseDescriptors()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var job HostileJob
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("cannot read the job: %w", err)
	}
	h, err := newHostile(job)
	if err != nil {
		return enc.Encode(HostileTally{Err: err.Error()})
	}
	if err := enc.Encode(HostileTally{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders := make(chan hostileOrder)
	go func() { // owned by in: ends with it
		defer close(orders)
		defer cancel() // an attack under way too
		for {
			var o hostileOrder
			if dec.Decode(&o) != nil {
				return
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	for o := range orders {
		if err := enc.Encode(h.run(ctx, o)); err != nil {
			return err
		}
	}
	return nil
}

func newHostile(job HostileJob) (*hostile, error) {
	h := &hostile{
		job: job, kind: kindOf(job.Kind), sign: newSigner(job.Keys), flood: newFlood(job.Kind), out: newHostileTally(),
	}
	if h.kind == nil {
		return nil, fmt.Errorf("unknown kind %q of hostile clients", job.Kind)
	}
	var err error
	if h.peer, err = newPeer(job.peerJob); err != nil {
		return nil, err
	}
	if h.peer.tls != nil {
		h.hello, err = clientHello(h.peer.tls.ServerName)
	}
	return h, err
}

// run attacks from one time to another, and returns how that went.
func (h *hostile) run(ctx context.Context, o hostileOrder) *HostileTally {
	h.out = newHostileTally()
	if pause(ctx, time.Duration(o.From-monotonicIn(0))) != nil {
		return h.out
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.To-monotonicIn(0)))
	defer cancel()
	var wg sync.WaitGroup
	for n := range h.job.Connections {
		wg.Go(func() { h.live(ctx, n) })
	}
	wg.Wait()
	return h.out
}

// comeBack is what a hostile client waits for before it is there again.
const comeBack = 100 * time.Millisecond

// live has one client come again and again.
func (h *hostile) live(ctx context.Context, n int) {
	for round := 0; ctx.Err() == nil; round++ {
		c, err := h.open(ctx, n, round)
		switch {
		case ctx.Err() != nil && err != nil:
			h.note(func(t *HostileTally) { bump(t.Refused, "waited until the end") })
			return
		case err != nil:
			h.note(func(t *HostileTally) { bump(t.Refused, endOf(0, nil, err)) })
		default:
			h.note(func(t *HostileTally) { t.Opened++ })
			why := h.attack(ctx, c)
			over := ctx.Err() != nil
			h.note(func(t *HostileTally) {
				t.add(&c.out)
				if over {
					t.Stayed++
				} else {
					bump(t.Closes, why)
				}
			})
		}
		if pause(ctx, comeBack) != nil {
			return
		}
	}
}

// bump counts one of a kind that the other side names: of so many names at most.
func bump(counts map[string]int64, name string) {
	if _, known := counts[name]; !known && len(counts) >= 32 {
		name = "others"
	}
	counts[name]++
}

func (h *hostile) note(what func(*HostileTally)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what(h.out)
}

// attack does the harm on one connection, and returns how that ended.
func (h *hostile) attack(ctx context.Context, c *hostileConn) string {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() }) // whatever waits on it
	defer stop()
	why := h.kind.attack(h, c)
	_ = c.raw.Close() // it ended, or is to
	if c.listening {
		<-c.over
	}
	c.out.Read = c.read
	return why
}

// open makes a connection, and upgrades it where the kind does.
func (h *hostile) open(ctx context.Context, n, round int) (*hostileConn, error) {
	source := ""
	if len(h.job.Sources) > 0 {
		source = h.job.Sources[n%len(h.job.Sources)]
	}
	token := ""
	if !h.job.Anonymous && !h.kind.mute {
		var err error
		if token, err = h.sign.sign(h.user(n)); err != nil {
			return nil, err
		}
	}
	raw, err := h.peer.dial(ctx, source, h.kind.rcvBuf)
	if err != nil {
		return nil, err
	}
	c := &hostileConn{
		peerConn: &peerConn{Conn: raw}, raw: raw.(*net.TCPConn), n: n, round: round,
		out: *newHostileTally(), over: make(chan struct{}), done: ctx.Done(),
	}
	if h.kind.mute {
		return c, nil
	}
	c.peerConn, err = h.peer.open(ctx, raw, token)
	return c, err
}

// user is the one that hostile connection n is of.
func (h *hostile) user(n int) string {
	if h.job.Users > 0 {
		n %= h.job.Users
	}
	return "hostile-" + strconv.Itoa(n+1)
}

func (h *hostile) room(n int) string { return strings.ReplaceAll(h.job.Room, "{user}", h.user(n)) }
