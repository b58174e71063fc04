package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// ObserveConfig measures a gateway with whatever traffic it has: clients join rooms, and
// nothing is published.
type ObserveConfig struct {
	Target   Target
	Clients  int      // each a user of its own
	Procs    int      // client processes. 0: 1
	Rooms    []string // that they all join; {user} stands for a client's user, and wildcards are joined as such
	Warmup   time.Duration
	Duration time.Duration
	Deflate  bool          // the clients offer permessage-deflate
	Pace     time.Duration // least time between two polls of a client process. 0: none
	InFlight int           // handshakes at a time. 0: 64
	RcvBuf   int           // SO_RCVBUF of the clients. 0: the kernel's choice
	Log      io.Writer     // progress, a line each. nil: none
}

// ObserveResult is what Observe saw. Its JSON is for scripts.
type ObserveResult struct {
	Scenario string   `json:"scenario"`
	Clients  int      `json:"clients"`
	Rooms    []string `json:"rooms"`
	Seconds  float64  `json:"seconds"`

	// In the window.
	Delivered float64 `json:"delivered_per_s"` // messages read
	Bytes     float64 `json:"bytes_per_s"`     // of them, headers of frames included
	// Freshness is from a message's ts, which its record has in Kafka, in ms, until it
	// was read. It needs the clocks of producers and of this machine to agree.
	Freshness Quantiles `json:"freshness"`
	Cores     float64   `json:"gateway_cores"`
	CPU       float64   `json:"gateway_cpu_us_per_message"`

	// From the begin of the warmup to the end.
	Messages int64            `json:"messages"`
	Breaks   int64            `json:"chain_breaks"` // in rooms whose members are promised each message
	Early    int64            `json:"early"`        // messages that were read before their ts
	Invalid  int64            `json:"invalid"`
	Gone     int              `json:"connections_lost"`
	Notices  map[string]int64 `json:"notices"`
	Closes   map[string]int64 `json:"closes,omitempty"`

	Handshake        Quantiles `json:"handshake"`
	RSS              float64   `json:"gateway_rss"` // at the window's end
	RSSPerConnection float64   `json:"gateway_rss_per_connection"`
	Heap             float64   `json:"gateway_heap"` // in use
	HeapGrowth       float64   `json:"gateway_heap_growth"`
	// Counters are by how much the gateway's grew in the window, labels added up.
	Counters map[string]float64 `json:"gateway_counters"`

	ClientLag    Quantiles `json:"client_lag"` // from the kernel's receive time to the read, at a sample
	ClientAsleep float64   `json:"client_asleep"`
	Faults       []string  `json:"faults,omitempty"`
	Problems     []string  `json:"problems,omitempty"`
}

func (c *ObserveConfig) check() error {
	c.Procs = max(c.Procs, 1, len(c.Target.Agents.Addrs))
	switch {
	case c.Clients < 1 || c.Clients < c.Procs:
		return inputf("--clients %d: at least one, and one a process", c.Clients)
	case len(c.Rooms) == 0:
		return inputf("--rooms names no room")
	case strings.Contains(strings.Join(c.Rooms, ""), "{key}"):
		return inputf("--rooms %s: only {user} is filled in; a wildcard joins all rooms of a kind",
			strings.Join(c.Rooms, ","))
	case c.Duration < time.Second || c.Warmup < 0:
		return inputf("--duration %s, --warmup %s: at least one second, and none that is negative",
			c.Duration, c.Warmup)
	case c.Target.foreign() || strings.HasPrefix(c.Target.Admin, pidPrefix):
		return inputf("observe reads a tapecast gateway's messages and metrics: give its internal port with --admin")
	}
	return c.Target.checkDescriptors(c.Clients, c.Procs)
}

// Observe runs the measurement. The result may come with an error: a FaultError where
// messages were missing without a word or frames were torn, an InvalidError where nothing
// came or the bench was the bottleneck.
func Observe(ctx context.Context, cfg ObserveConfig) (*ObserveResult, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := cfg.Target.resolve(ctx)
	if err != nil {
		return nil, err
	}
	s := newScraper(e.admin)
	before, err := s.scrape(ctx)
	if err != nil {
		return nil, err
	}
	crew, err := newCrew(ctx, cfg.job(e), cfg.Procs)
	if err != nil {
		return nil, err
	}
	defer crew.stop()
	status, err := crew.connect(cfg.Clients)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, inputf("%v", err)
	}
	logLine(cfg.Log, "%d clients joined, observing for %s", status.Joined, cfg.Warmup+cfg.Duration)
	res := &ObserveResult{
		Scenario: "observe", Clients: cfg.Clients, Rooms: cfg.Rooms, Seconds: cfg.Duration.Seconds(),
		Handshake: status.Handshake.Quantiles(),
	}
	if err := res.watch(ctx, &cfg, crew, s, before); err != nil {
		return nil, err
	}
	return res, res.verdict()
}

// job is what the clients are told.
func (c *ObserveConfig) job(e endpoint) Job {
	return Job{
		Addr: e.addr, Host: e.host, TLS: e.tls, CA: c.Target.CA, Path: e.path, Sources: e.sources,
		Keys: c.Target.Keys, Agents: c.Target.Agents, Clients: c.Clients, Rooms: c.Rooms, Size: mostObserved,
		Deflate: c.Deflate, InFlight: c.InFlight, Pace: c.Pace, RcvBuf: c.RcvBuf, Observe: true,
	}
}

// watch takes the window's figures.
func (r *ObserveResult) watch(ctx context.Context, c *ObserveConfig, w *crew, s *scraper, before Metrics) error {
	p := plan{Anchor: anchor()}
	start := monotonicIn(leadTime)
	p.From = start + p.Anchor + int64(c.Warmup)
	p.To = p.From + int64(c.Duration)
	var err error
	if p.Schedule, err = NewSchedule(start+p.Anchor, 0.001); err != nil { // nothing is due: it is not looked at
		return err
	}
	if err := w.run(p); err != nil {
		return err
	}
	until := func(at int64) (Metrics, error) {
		if err := pause(ctx, time.Duration(at-p.Anchor-monotonicIn(0))); err != nil {
			return nil, err
		}
		return s.midRun(ctx)
	}
	from, err := until(p.From)
	if err != nil {
		return err
	}
	to, err := until(p.To)
	if err != nil {
		return err
	}
	t, err := w.finish(0, time.Second)
	if err != nil {
		return err
	}
	r.fill(c, t, from, to)
	r.RSSPerConnection = (from[metricRSS] - before[metricRSS]) / float64(c.Clients)
	return nil
}

func (r *ObserveResult) fill(c *ObserveConfig, t *Tally, from, to Metrics) {
	r.Delivered, r.Bytes = float64(t.WindowFrames)/r.Seconds, float64(t.WindowBytes)/r.Seconds
	r.Freshness = t.Latency.Quantiles()
	cpu := to[metricCPU] - from[metricCPU]
	r.Cores = cpu / r.Seconds
	if t.WindowFrames > 0 {
		r.CPU = cpu * 1e6 / float64(t.WindowFrames)
	}
	r.Messages, r.Breaks, r.Early, r.Invalid, r.Gone = t.Frames, t.Breaks, t.Early, t.Invalid, t.Gone
	r.Notices, r.Closes, r.Faults = t.Notices, t.Closes, t.Faults
	r.RSS, r.Heap, r.HeapGrowth = to[metricRSS], to[metricHeap], to[metricHeap]-from[metricHeap]
	r.Counters = grown(from, to)
	r.ClientLag, r.ClientAsleep = t.Lag.Quantiles(), t.Asleep/r.Seconds/float64(c.Procs)
	for what, n := range map[string]int64{
		"breaks of the prev chain": r.Breaks, "invalid frames": r.Invalid, "connections lost": int64(r.Gone),
	} {
		if n > 0 {
			r.Faults = append(r.Faults, fmt.Sprintf("%d %s", n, what))
		}
	}
	if r.ClientLag.P99 > mostClientLag && r.Freshness.Count > 0 && 2*r.ClientLag.P99 > r.Freshness.P99 {
		r.Problems = append(r.Problems, fmt.Sprintf(
			"the client processes were slow to read: p99 %.1f ms, half of the freshness or more; "+
				"give them cores, or --procs",
			r.ClientLag.P99))
	}
	if t.WindowFrames == 0 {
		r.Problems = append(r.Problems, "no message came: is anything published to "+strings.Join(c.Rooms, ", ")+"?")
	}
}

// verdict is the error that the run amounts to.
func (r *ObserveResult) verdict() error {
	switch {
	case len(r.Faults) > 0:
		return &FaultError{"what was delivered is wrong: " + joinFew(r.Faults)}
	case len(r.Problems) > 0:
		return &InvalidError{joinFew(r.Problems)}
	}
	return nil
}

// WriteText writes the result as a table.
func (r *ObserveResult) WriteText(w io.Writer) error {
	t := &table{}
	t.line("observe · %s clients in %s · %s s", count(int64(r.Clients)), strings.Join(r.Rooms, " "), number(r.Seconds))
	t.row("delivered", "%s/s, %s", count(int64(r.Delivered)), size(r.Bytes)+"/s")
	t.row("freshness", "%s, from the record's time to the read", r.Freshness)
	if r.Early > 0 {
		t.row("", "%s messages were read before their time: producers' clocks are ahead of this one", count(r.Early))
	}
	t.row("chain", "%s breaks · gap %d · conflated %d · reset %d · error %d", count(r.Breaks),
		r.Notices["gap"], r.Notices["conflated"], r.Notices["reset"], r.Notices["error"])
	t.row("gateway", "CPU %.3f µs per message · %.2f cores · %s resident, %s per connection",
		r.CPU, r.Cores, size(r.RSS), size(r.RSSPerConnection))
	t.row("", "heap in use %s, %s over the window", size(r.Heap), signed(r.HeapGrowth))
	t.row("handshake", "%s", r.Handshake)
	t.row("bench", "clients asleep %.0f %%, lag p99 %s", 100*r.ClientAsleep, ms(r.ClientLag.P99))
	for _, x := range r.Faults {
		t.row("FAULT", "%s", x)
	}
	for _, x := range r.Problems {
		t.row("INVALID", "%s", x)
	}
	for why, n := range r.Closes {
		t.row("closed", "%d: %s", n, why)
	}
	return t.write(w)
}
