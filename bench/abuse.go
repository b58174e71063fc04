package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/proto"
	"tapecast/bench/scrape"
)

// AbuseConfig makes hostile clients do one kind of harm to a fanout's own clients during its window.
type AbuseConfig struct {
	Kind      string  // one of hostile.Kinds
	Hostile   int     // hostile connections. 0: 1
	Addresses int     // loopback addresses that they come from. 0: 1
	Users     int     // users that they share. 0: each connection is a user of its own
	Anonymous bool    // they send no token
	Rate      float64 // requests a second of each, for the kinds with a pace. 0: 45
	Room      string  // of toggle, resume and stalled; {user} is the hostile user. "": the kind's own
	Junk      string  // prefix of invented room names. "": trades:
	Paired    bool    // each run twice: against a sink, and against the gateway

	PingEvery time.Duration // between two pings of an ordinary client. 0: 1 s
	Newcomers float64       // new connections a second. 0: 5; below 0: none
}

// runSink is the other run of a paired abuse: the same hostile processes attack a sink.
const runSink = "sink"

// DefaultHostileRate is just below the messages a second that a gateway allows a connection
// by default. So no limit hides what a request costs.
const DefaultHostileRate = 45

// mostHostileAddresses is how many addresses hostile clients may come from: 127.0.0.101 to
// 127.0.0.200. Ordinary clients use none of them.
const mostHostileAddresses = 100

func (x *AbuseConfig) check(c *FanoutConfig) error {
	x.Hostile, x.Addresses = cmp.Or(x.Hostile, 1), cmp.Or(x.Addresses, 1)
	x.Rate = cmp.Or(x.Rate, DefaultHostileRate)
	x.Junk = cmp.Or(x.Junk, "trades:")
	x.PingEvery = cmp.Or(x.PingEvery, time.Second)
	x.Newcomers = cmp.Or(x.Newcomers, 5)
	kind := hostile.KindOf(x.Kind)
	if kind == nil {
		return job.Inputf("--kind %q is not one of %s", x.Kind, strings.Join(hostile.Kinds(), ", "))
	}
	x.Room = cmp.Or(x.Room, kind.Room, c.Rooms[0])
	switch {
	case x.Hostile < 1 || x.Addresses < 1 || x.Addresses > mostHostileAddresses:
		return job.Inputf("--hostile %d from --hostile-addresses %d: one or more connections, from 1 to %d addresses",
			x.Hostile, x.Addresses, mostHostileAddresses)
	case x.Users < 0 || x.Rate <= 0 || x.Rate > 1e6:
		return job.Inputf("--hostile-users %d, --hostile-rate %v: the users cannot be negative, and the rate is more "+
			"than 0 and at most 1e6", x.Users, x.Rate)
	case x.Anonymous && !kind.Anonymous:
		return job.Inputf("--kind %s needs a token: leave --hostile-token=false out", x.Kind)
	case x.PingEvery < 10*time.Millisecond || x.Newcomers > 100:
		return job.Inputf("--ping-every %s, --newcomers %v: at least 10ms between pings, and at most 100 newcomers "+
			"a second", x.PingEvery, x.Newcomers)
	case kind.Name == "hello" && !strings.HasPrefix(c.Target.URL, "wss:"):
		return job.Inputf("--kind hello needs TLS: give a wss:// --target")
	case c.Target.Foreign() || len(c.Target.Agents.Addrs) > 0 || strings.HasPrefix(c.Target.Admin, scrape.PidPrefix):
		return job.Inputf("abuse needs a tapecast gateway with its internal port: leave --protocol and --agents out")
	case c.Storm != nil || c.Churn != nil || c.Soak != nil || c.Baseline || c.Paired || c.Stalled+c.Slow > 0:
		return job.Inputf("abuse cannot be combined with another scenario")
	}
	return c.Target.CheckOneProcess("--hostile", x.Hostile)
}

// CheckAddress returns an error unless the target is on this machine.
func CheckAddress(e Endpoint) error {
	at, err := netip.ParseAddrPort(e.Addr)
	if err != nil || !at.Addr().IsLoopback() || !at.Addr().Is4() {
		return job.Inputf("--target %s: hostile clients attack only a gateway on 127.0.0.1", e.Addr)
	}
	return nil
}

// HostileSources returns so many addresses that hostile clients come from.
func HostileSources(addresses int) []string {
	var out []string
	for k := range addresses {
		out = append(out, fmt.Sprintf("127.0.0.%d", 101+k))
	}
	return out
}

func (x *AbuseConfig) job(t *Target, e Endpoint) hostile.Job {
	j := hostile.Job{
		Job: client.Job{Endpoint: e.Endpoint}, Kind: x.Kind, Connections: x.Hostile, Keys: t.Keys,
		Anonymous: x.Anonymous, Users: x.Users, Room: x.Room, Junk: x.Junk, Rate: x.Rate,
	}
	j.Sources = HostileSources(x.Addresses)
	return j
}

// abuse is what an abuse adds to one run.
type abuse struct {
	cfg       *AbuseConfig
	hostile   *pool.Worker
	sink      *pool.Worker // nil: the hostile clients attack the gateway
	newcomers *newcomers
	before    scrape.Metrics // just before the hostile clients came
	samples   []float64
	tally     hostile.Tally
	health    *HealthSeen
}

// starter begins a process, with the priority of its choice.
type starter = func(*exec.Cmd) error

// startAbuse starts the hostile process, and the sink if that is the target.
func (r *fanoutRun) startAbuse(ctx context.Context) error {
	c := &r.cfg
	x := &abuse{cfg: c.Abuse}
	r.abuse = x
	j := c.Abuse.job(&c.Target, r.end)
	if r.name == runSink {
		var a hostile.SinkAnswer
		var err error
		if x.sink, err = pool.Spawn(ctx, "sink", c.start); err != nil {
			return err
		}
		if err := x.sink.Ask(hostile.SinkJob{TLS: j.TLS}, &a); err != nil {
			return err
		}
		if a.Err != "" {
			return fmt.Errorf("cannot start a sink: %s", a.Err)
		}
		j.Addr, j.Unknown = a.Addr, true
	}
	var err error
	if x.hostile, err = StartHostile(ctx, j, c.start); err != nil {
		return err
	}
	x.newcomers = &newcomers{sign: job.NewSigner(c.Target.Keys), first: c.Clients, rate: c.Abuse.Newcomers,
		latency: job.NewHist(), failed: map[string]int64{}}
	x.newcomers.peer, err = client.New(client.Job{Endpoint: r.end.Endpoint})
	return err
}

// StartHostile starts a process of hostile clients. start begins it.
func StartHostile(ctx context.Context, j hostile.Job, start starter) (*pool.Worker, error) {
	w, err := pool.Spawn(ctx, "hostile", start)
	if err != nil {
		return nil, err
	}
	var a hostile.Tally
	if err = w.Ask(j, &a); err == nil && a.Err != "" {
		err = job.Inputf("cannot start hostile clients: %s", a.Err)
	}
	if err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

func (x *abuse) stop() {
	for _, w := range []*pool.Worker{x.hostile, x.sink} {
		if w != nil {
			w.Stop()
		}
	}
}

func (x *AbuseConfig) order(p job.Timing) job.Order {
	return job.Order{Op: "ping", From: p.Schedule.Start - p.Anchor, Timed: p.From - p.Anchor,
		To: p.To - p.Anchor, Every: x.PingEvery}
}

// sampleEvery is the time between two looks at the gateway's memory.
const sampleEvery = 500 * time.Millisecond

// run makes the hostile clients attack during the window, and watches the gateway.
func (x *abuse) run(ctx context.Context, s *scrape.Scraper, admin scrape.Port, p job.Timing) error {
	from, to := p.From-p.Anchor, p.To-p.Anchor
	if err := machine.Pause(ctx, time.Duration(from-machine.MonotonicIn(0))-sampleEvery); err != nil {
		return err
	}
	var err error
	if x.before, err = s.MidRun(ctx); err != nil {
		return err
	}
	var all errgroup.Group
	all.Go(func() error { return x.hostile.Ask(hostile.Order{From: from, To: to}, &x.tally) })
	all.Go(func() error { return x.newcomers.come(ctx, from, to) })
	all.Go(func() error { x.health = watchHealth(ctx, admin, to); return nil })
	all.Go(func() error { x.sampleMemory(ctx, s, to); return nil })
	return all.Wait()
}

// sampleMemory looks at the gateway's resident memory until a given time. A look that fails
// is skipped: the looks at the window's edges report a gateway that is gone.
func (x *abuse) sampleMemory(ctx context.Context, s *scrape.Scraper, until int64) {
	for machine.MonotonicIn(0) < until {
		if m, err := s.Scrape(ctx); err == nil {
			x.samples = append(x.samples, m[scrape.MetricRSS])
		}
		if machine.Pause(ctx, sampleEvery) != nil {
			return
		}
	}
}

// newcomers are ordinary clients that connect while others are there already. Each waits
// for the gateway's first message, and leaves.
type newcomers struct {
	peer  *client.Dialer
	sign  job.Signer
	first int     // number of the first newcomer's user
	rate  float64 // a second

	mu      sync.Mutex // guards the fields below
	latency *job.Hist
	failed  map[string]int64
}

// come makes newcomers connect from one time to another (CLOCK_MONOTONIC). It returns when
// the last one has its message, or was given up.
func (x *newcomers) come(ctx context.Context, from, to int64) error {
	count := int(math.Ceil(float64(to-from) / 1e9 * x.rate))
	return Come(ctx, x.sign, from, x.first, count, x.rate, func(n int, token string, due int64) {
		ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
		defer cancel()
		why := x.enter(ctx, n, token)
		took := machine.MonotonicIn(0) - due // of one that is not let in, the time it tried
		x.mu.Lock()
		defer x.mu.Unlock()
		if why != "" {
			x.failed[why]++
		}
		x.latency.Record(took)
	})
}

// Come makes count clients come at a rate, from a given time on (CLOCK_MONOTONIC). Their
// users' numbers start at first. Each client is a call of one on a goroutine of its own,
// and Come returns when all of them have.
func Come(ctx context.Context, sign job.Signer, from int64, first, count int, rate float64,
	one func(n int, token string, due int64)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range count {
		due := from + int64(float64(n)/rate*1e9)
		token, err := sign.Sign(job.UserName(first + n)) // signed before it is due, so not timed
		if err != nil {
			return err
		}
		if err := machine.Pause(ctx, time.Duration(due-machine.MonotonicIn(0))); err != nil {
			return err
		}
		wg.Go(func() { one(n, token, due) })
	}
	return nil
}

// enter returns how a connection ended before the first message; "": the message came.
func (x *newcomers) enter(ctx context.Context, n int, token string) string {
	c, err := x.peer.Connect(ctx, n, token)
	if err != nil {
		return client.EndOf(0, nil, err)
	}
	op, p, err := c.Next()
	if err != nil || op == proto.OpClose {
		return client.EndOf(op, p, err)
	}
	c.Leave()
	return ""
}
