package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tapecast/bench"
	"tapecast/bench/job"
	"tapecast/bench/worker"
)

const usage = `peers run [FLAGS]          measure all in turns
peers serve NAME [FLAGS]   one server, until standard input ends`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers: "+strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("a command is missing:\n%s", usage)
	}
	switch args[0] {
	case "worker": // a client process of the bench
		return worker.Run(os.Stdin, os.Stdout)
	case "serve":
		return serveCommand(args[1:])
	case "run":
		return runCommand(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q:\n%s", args[0], usage)
}

func serveCommand(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("serve needs the name of a peer: nats, centrifuge, gorilla, gws or nbio")
	}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "`host:port` for clients")
	admin := f.String("admin", "127.0.0.1:0", "`host:port` of /metrics and /debug/append")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	return serve(args[0], *listen, *admin, os.Stdin, os.Stdout)
}

func runCommand(ctx context.Context, args []string) error {
	c := runConfig{Log: os.Stderr}
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.StringVar(&c.Gateway, "gateway", "bin/tapecast", "`file` of the gateway's program; empty: peers only")
	f.StringVar(&c.Into, "into", "", "`file` whose table between the marks is replaced (default: print it)")
	f.IntVar(&c.Clients, "clients", 10_000, "`number` of clients of the one room")
	f.IntVar(&c.Size, "size", 128, "`bytes` of a message")
	f.DurationVar(&c.Warmup, "warmup", 2*time.Second, "time before each window")
	f.DurationVar(&c.Duration, "duration", 5*time.Second, "length of each window")
	f.IntVar(&c.Turns, "turns", 5,
		"`number` of further turns of all servers, at the highest rate that all kept up with")
	f.DurationVar(&c.Budget, "budget", 25*time.Minute, "start no measurement after this time")
	rates := f.String("rates", "5,10,20,50,100,200,400,800,1600,3200", "`messages` a second, ascending")
	only := f.String("only", "", "`names` of the servers to measure (default: all)")
	quick := f.Bool("quick", false, "take a minute or less, to see that everything works; the figures prove nothing")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *quick {
		c.Clients, c.Warmup, c.Duration, c.Budget, *rates, c.Turns = 50, 200*time.Millisecond, time.Second,
			50*time.Second, "50", 1
		c.quick = true
	}
	for r := range strings.SplitSeq(*rates, ",") {
		v, err := strconv.ParseFloat(r, 64)
		if err != nil || v <= 0 || len(c.Rates) > 0 && v <= c.Rates[len(c.Rates)-1] {
			return fmt.Errorf("--rates %q are not ascending numbers", *rates)
		}
		c.Rates = append(c.Rates, v)
	}
	if *only != "" {
		c.Only = strings.Split(*only, ",")
	}
	return run(ctx, c)
}

type runConfig struct {
	Gateway  string // its program; "": peers only
	Into     string // the file with the marks; "": print the table
	Clients  int
	Size     int // bytes
	Warmup   time.Duration
	Duration time.Duration
	Budget   time.Duration
	Rates    []float64 // messages a second, ascending
	Turns    int       // at the highest rate that all kept up with
	Only     []string  // nil: all
	Log      io.Writer

	quick bool // one rate each, and nothing after it
}

// contender is a server that takes part, with its results.
type contender struct {
	name   string
	target bench.Target
	room   string
	bare   bool
	server *process

	runs   []measured
	behind bool    // it fell behind at the last rate
	limit  float64 // most messages a second that it brought to all clients, of those measured
	half   measured
	most   measured // at four fifths of the limit
	turns  []measured
}

type measured struct {
	rate float64
	run  *bench.Run
	why  string // how it fell behind; "": it kept up
}

// When a server has fallen behind. Traders cannot use messages that come a second late, and
// the queue grows with the length of the run.
const (
	leastDelivered = 0.97 // of what was due in the window
	mostP99        = 1000 // ms
)

// run measures all servers, in turns at each rate, and writes the table.
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
		return nil, fmt.Errorf("--only %v names no server", cfg.Only)
	}
	return all, nil
}

// measure makes one run. Lost messages, lost connections and clients at their limit are
// results. Anything else that fails is an error.
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
	if err != nil && (!judged || res == nil) {
		return measured{}, fmt.Errorf("cannot measure %s at %.4g messages a second: %w", c.name, rate, err)
	}
	m := measured{rate: rate, run: res.Runs[0]}
	m.why = verdict(m.run)
	fmt.Fprintf(cfg.Log, "  %.0f delivered/s, %.2f µs, p99 %.1f ms; %s\n", m.run.Delivered, m.run.CPU,
		m.run.Latency.P99, cmp.Or(m.why, "kept up"))
	for _, p := range m.run.Problems {
		fmt.Fprintln(cfg.Log, "  "+p)
	}
	return m, nil
}

// verdict returns in a few words how a server fell behind, or "".
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

// took takes the result at the next rate. The limit is the most that the server brought to
// all clients in any run, also in the run in which more was due.
func (c *contender) took(m measured, clients int) {
	c.runs = append(c.runs, m)
	c.behind = m.why != ""
	c.limit = max(c.limit, min(m.rate, m.run.Delivered/float64(clients)))
}
