package hostile

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

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// Job tells a hostile process what to do, and to which server.
type Job struct {
	client.Job
	Kind        string   `json:"kind"`
	Connections int      `json:"connections"`
	Keys        job.Keys `json:"keys"`
	Anonymous   bool     `json:"anonymous"`
	Users       int      `json:"users"` // 0: one for each connection
	Room        string   `json:"room"`
	Junk        string   `json:"junk"`
	Rate        float64  `json:"rate"`
}

// Order is when to attack, in CLOCK_MONOTONIC.
type Order struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Tally is what happened to hostile clients.
type Tally struct {
	Err     string           `json:"err,omitempty"`
	Opened  int64            `json:"opened"`            // connections made, and upgraded if their kind is
	Refused map[string]int64 `json:"refused,omitempty"` // connections that failed, by reason
	Closes  map[string]int64 `json:"closes,omitempty"`  // by the other side, by code and reason or other end
	Stayed  int64            `json:"stayed"`            // connections that were left at the end
	Frames  int64            `json:"frames"`            // frames written; of silent and hello, pieces of bytes
	Bytes   int64            `json:"bytes"`             // bytes written
	Read    int64            `json:"read"`              // bytes of frames read
	Answers int64            `json:"answers"`           // text frames read
	Errors  map[string]int64 `json:"errors,omitempty"`  // answers that are errors, by code
}

// NewTally returns an empty Tally.
func NewTally() *Tally {
	return &Tally{Refused: map[string]int64{}, Closes: map[string]int64{}, Errors: map[string]int64{}}
}

// attacker holds the hostile clients of a process, each on its own goroutines.
type attacker struct {
	job    Job
	kind   *kind
	dialer *client.Dialer
	sign   job.Signer
	flood  *flood // of the kinds that have one
	hello  []byte

	mu  sync.Mutex // guards out
	out *Tally
}

// Run is a process that holds hostile clients. It reads a Job and then orders, and writes
// one answer to each. It returns when its input ends.
func Run(in io.Reader, out io.Writer) error {
	machine.RaiseDescriptors()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var j Job
	if err := dec.Decode(&j); err != nil {
		return fmt.Errorf("cannot read the job: %w", err)
	}
	h, err := newAttacker(j)
	if err != nil {
		return enc.Encode(Tally{Err: err.Error()})
	}
	if err := enc.Encode(Tally{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	orders := job.Orders[Order](dec, func() {}, cancel) // the end of the input also ends an attack under way
	for o := range orders {
		if err := enc.Encode(h.run(ctx, o)); err != nil {
			return err
		}
	}
	return nil
}

func newAttacker(j Job) (*attacker, error) {
	h := &attacker{
		job: j, kind: KindOf(j.Kind), sign: job.NewSigner(j.Keys), flood: newFlood(j.Kind), out: NewTally(),
	}
	if h.kind == nil {
		return nil, fmt.Errorf("unknown kind %q of hostile clients", j.Kind)
	}
	var err error
	if h.dialer, err = client.New(j.Job); err != nil {
		return nil, err
	}
	if h.dialer.Config != nil {
		h.hello, err = clientHello(h.dialer.Config.ServerName)
	}
	return h, err
}

func (h *attacker) run(ctx context.Context, o Order) *Tally {
	h.out = NewTally()
	if machine.Pause(ctx, time.Duration(o.From-machine.MonotonicIn(0))) != nil {
		return h.out
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.To-machine.MonotonicIn(0)))
	defer cancel()
	var wg sync.WaitGroup
	for n := range h.job.Connections {
		wg.Go(func() { h.live(ctx, n) })
	}
	wg.Wait()
	return h.out
}

// comeBack is how long a hostile client waits before it connects again.
const comeBack = 100 * time.Millisecond

func (h *attacker) live(ctx context.Context, n int) {
	for round := 0; ctx.Err() == nil; round++ {
		c, err := h.open(ctx, n, round)
		switch {
		case ctx.Err() != nil && err != nil:
			h.note(func(t *Tally) { Bump(t.Refused, "waited until the end") })
			return
		case err != nil:
			h.note(func(t *Tally) { Bump(t.Refused, client.EndOf(0, nil, err)) })
		default:
			h.note(func(t *Tally) { t.Opened++ })
			why := h.attack(ctx, c)
			over := ctx.Err() != nil
			h.note(func(t *Tally) {
				job.Add(t, &c.out)
				if over {
					t.Stayed++
				} else {
					Bump(t.Closes, why)
				}
			})
		}
		if machine.Pause(ctx, comeBack) != nil {
			return
		}
	}
}

// Bump counts an event under a name that the other side chose. It bounds the number of names.
func Bump(counts map[string]int64, name string) {
	if _, known := counts[name]; !known && len(counts) >= 32 {
		name = "others"
	}
	counts[name]++
}

func (h *attacker) note(what func(*Tally)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what(h.out)
}

// attack does the harm on one connection, and returns how that ended.
func (h *attacker) attack(ctx context.Context, c *conn) string {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.Close() }) // ends a read or write that waits on it
	defer stop()
	why := h.kind.attack(h, c)
	_ = c.raw.Close() // it has ended, or must end now
	if c.listening {
		<-c.over
	}
	c.out.Read = c.Read
	return why
}

// open makes a connection, and upgrades it if the kind does.
func (h *attacker) open(ctx context.Context, n, round int) (*conn, error) {
	token := ""
	if !h.job.Anonymous && !h.kind.mute {
		var err error
		if token, err = h.sign.Sign(h.user(n)); err != nil {
			return nil, err
		}
	}
	raw, err := h.dialer.Dial(ctx, n, h.kind.rcvBuf)
	if err != nil {
		return nil, err
	}
	c := &conn{
		Conn: &client.Conn{Conn: raw}, raw: raw.(*net.TCPConn), n: n, round: round,
		out: *NewTally(), over: make(chan struct{}), done: ctx.Done(),
	}
	if h.kind.mute {
		return c, nil
	}
	c.Conn, err = h.dialer.Open(ctx, raw, token)
	return c, err
}

func (h *attacker) user(n int) string {
	if h.job.Users > 0 {
		n %= h.job.Users
	}
	return "hostile-" + strconv.Itoa(n+1)
}

func (h *attacker) room(n int) string { return strings.ReplaceAll(h.job.Room, "{user}", h.user(n)) }
