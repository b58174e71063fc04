package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"tapecast/bench"
	"tapecast/bench/job"
)

// runConfig is one comparison.
type runConfig struct {
	Gateway  string // its program; "": without it
	Into     string // the file with the marks; "": the table is printed
	Clients  int
	Size     int // bytes
	Warmup   time.Duration
	Duration time.Duration
	Budget   time.Duration
	Rates    []float64 // messages a second, rising
	Turns    int       // at the highest rate that all of them bear
	Only     []string  // nil: all
	Log      io.Writer

	quick bool // one rate each, and nothing after it
}

// contender is a server that takes part, and what it has done.
type contender struct {
	name   string
	target bench.Target
	room   string
	bare   bool
	server *process

	legs   []measured
	behind bool    // at the last rate of legs
	limit  float64 // messages a second that it can bring to all; of those measured
	half   measured
	most   measured // at four fifths of the limit
	turns  []measured
}

// measured is one leg of one contender.
type measured struct {
	rate float64
	leg  *bench.Run
	why  string // it fell behind, if it did; "": it kept up
}

// When a server has fallen behind: a room whose messages come a second late is
// no feed for traders, and the queue grows with the length of the run.
const (
	leastDelivered = 0.97 // of what was due in the window
	mostP99        = 1000 // ms
)

// run measures all, each rate in turns, and writes the table.
func run(ctx context.Context, cfg runConfig) (err error) {
	all, err := startAll(ctx, cfg)
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.server.stop())
		}
	}()
	if err != nil {
		return err
	}
	began := time.Now()
	left := func() bool { return ctx.Err() == nil && time.Since(began) < cfg.Budget }
	for _, rate := range cfg.Rates {
		for _, c := range all {
			if c.behind || !left() {
				continue
			}
			m, err := c.measure(ctx, cfg, rate)
			if err != nil {
				return err
			}
			c.took(m, cfg.Clients)
		}
	}
	for _, c := range all {
		if cfg.quick || c.limit == 0 {
			continue
		}
		for _, part := range []struct {
			of float64
			to *measured
		}{{0.5, &c.half}, {0.8, &c.most}} {
			if !left() {
				continue
			}
			if *part.to, err = c.measure(ctx, cfg, c.limit*part.of); err != nil {
				return err
			}
		}
	}
	if err := turns(ctx, cfg, all, left); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	return write(cfg, all)
}

func startAll(ctx context.Context, cfg runConfig) (all []*contender, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	wanted := func(name string) bool { return cfg.Only == nil || slices.Contains(cfg.Only, name) }
	if cfg.Gateway != "" && wanted("tapecast") {
		c := &contender{name: "tapecast", room: "bare", bare: true}
		if c.server, err = startGateway(ctx, cfg.Gateway); err != nil {
			return all, err
		}
		all = append(all, c)
		c.target = bench.Target{Keys: job.Keys{Secret: gatewaySecret}, AdminToken: gatewayToken}
	}
	for _, k := range kinds {
		if !wanted(k.name) {
			continue
		}
		c := &contender{name: k.name, room: "prices"}
		if c.server, err = startPeer(ctx, self, k.name); err != nil {
			return all, err
		}
		all = append(all, c)
		c.target.Protocol = k.protocol
	}
	for _, c := range all {
		c.target.URL, c.target.Admin, c.target.Direct = c.server.at.URL, c.server.at.Admin, true
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--only %v names nobody", cfg.Only)
	}
	return all, nil
}

// measure makes one leg. That messages were lost, or connections, or that the
// clients were at their limit is a result; anything else that fails is an error.
func (c *contender) measure(ctx context.Context, cfg runConfig, rate float64) (measured, error) {
	fmt.Fprintf(cfg.Log, "%s at %.4g messages a second\n", c.name, rate)
	res, err := bench.Fanout(ctx, bench.FanoutConfig{
		Target: c.target, Clients: cfg.Clients, Rooms: []string{c.room}, Bare: c.bare,
		Rate: rate, Size: cfg.Size, Warmup: cfg.Warmup, Duration: cfg.Duration,
		Drain: 5 * time.Second, Pace: time.Millisecond,
	})
	var fault *job.FaultError
	var invalid *job.InvalidError
	judged := errors.As(err, &fault) || errors.As(err, &invalid)
	if err != nil && (!judged || res == nil || len(res.Runs) == 0) {
		return measured{}, fmt.Errorf("cannot measure %s at %.4g messages a second: %w", c.name, rate, err)
	}
	m := measured{rate: rate, leg: res.Runs[0]}
	m.why = verdict(m.leg)
	fmt.Fprintf(cfg.Log, "  %.0f delivered/s, %.2f µs, p99 %.1f ms; %s\n", m.leg.Delivered, m.leg.CPU, m.leg.Latency.P99, orWord(m.why, "kept up"))
	for _, p := range m.leg.Problems {
		fmt.Fprintln(cfg.Log, "  "+p)
	}
	return m, nil
}

// verdict says in a few words how a server fell behind, or nothing.
func verdict(l *bench.Run) string {
	switch {
	case l.Gone > 0:
		return fmt.Sprintf("%d connections cut", l.Gone)
	case l.Lost > 0 || l.Invalid > 0:
		return fmt.Sprintf("%d messages lost", l.Lost+l.Invalid)
	case l.Delivered < leastDelivered*l.Offered:
		return fmt.Sprintf("%.0f %% delivered", 100*l.Delivered/l.Offered)
	case l.Latency.P99 > mostP99:
		return fmt.Sprintf("p99 %.1f s", l.Latency.P99/1000)
	}
	return ""
}

// took takes a result at the next rate. The limit is the most that was brought
// to all in any leg, also in the one in which more was due.
func (c *contender) took(m measured, clients int) {
	c.legs = append(c.legs, m)
	c.behind = m.why != ""
	c.limit = max(c.limit, min(m.rate, m.leg.Delivered/float64(clients)))
}

func orWord(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
