package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"tapecast/bench"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// CalibrateConfig is the measurements for a Model. The gateway must have nothing else to do.
type CalibrateConfig struct {
	Target  bench.Target
	Clients int // the most. 0: 10,000
	Procs   int // client processes. 0: 1
	Room    string
	Fields  string        // of the values, as the room's route needs them
	Keyed   string        // a room name with {key}: rooms of a hundred members. "": none are measured
	Most    float64       // most messages a second to all clients. 0: 400
	Window  time.Duration // of each point. 0: 8 s
	Repeats int           // runs of each point; the median counts. 0: 1
	Log     io.Writer     // progress, a line each. nil: none
}

// CalibrationVersion is the version of the files that hold a Calibration.
const CalibrationVersion = 5

// Calibration is what Calibrate measured, and the model that fits it.
type Calibration struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	TLS     bool      `json:"tls"`
	Kafka   bool      `json:"kafka"` // messages went through Kafka, not past it
	Loops   float64   `json:"loops"`
	Points  []Point   `json:"points"`
	Model   Model     `json:"model"`
	// Worst is the model's largest error of CPU over all points, as a share.
	Worst float64 `json:"worst"`
	// Reference is the CPU that the machine took for one send of the reference load, in
	// seconds: the median of all its measurements. Varied is the largest over the smallest.
	Reference float64 `json:"reference_s"`
	Varied    float64 `json:"varied"`
	// The limits of what was measured. A plan beyond them is an extrapolation.
	MostConnections float64 `json:"most_connections"`
	MostDelivered   float64 `json:"most_delivered"`
	MostBytes       float64 `json:"most_bytes"` // a second
	MostSize        float64 `json:"most_size"`
	MostSend        float64 `json:"most_send"` // mean bytes of a send
	LeastRate       float64 `json:"least_rate"`
	MostRate        float64 `json:"most_rate"`
}

// Point is one measurement of a load.
type Point struct {
	Load    Load    `json:"load"`
	Seconds float64 `json:"seconds"`
	Cores   float64 `json:"cores"`
	Bytes   float64 `json:"bytes"` // a second

	// Sums over Seconds.
	Sends   float64 `json:"sends"`
	Frames  float64 `json:"frames"`
	Wire    float64 `json:"wire"` // bytes of Frames
	Records float64 `json:"records"`
	Passing float64 `json:"passing_s"` // time spent in passes
	Busy    float64 `json:"busy_s"`    // time that loops were not asleep

	Resident float64 `json:"resident"`
	Kernel   float64 `json:"kernel"` // kernel memory of the connections' own ends; 0: unknown, the gateway is elsewhere
	Tapes    float64 `json:"tapes"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`

	// Slowness is the CPU that the machine took for the reference load just before and after
	// the point, relative to the calibration's median. 0: unknown.
	Slowness float64 `json:"slowness"`
}

// trial is one point to measure: all clients in one room, or groups of them.
type trial struct {
	clients, groups int
	rate            float64 // in each room
	size            int
}

func (t trial) String() string {
	return fmt.Sprintf("%d clients, %d room(s), %s msg/s of %d B each", t.clients, t.groups, text.Number(t.rate),
		t.size)
}

func (t trial) load() Load {
	return Load{Connections: float64(t.clients), Streams: []Stream{{
		Rooms: float64(t.groups), Members: float64(t.clients / t.groups), Rate: t.rate, Size: float64(t.size),
	}}}
}

// trials are what the model needs: sends of one frame and of many, short and long, rooms of all sizes.
func (c *CalibrateConfig) trials() []trial {
	n := c.Clients
	list := []trial{
		{n / 10, 1, 10, 128},                                      // almost nothing: the floor of latency
		{1, 1, 50 * c.Most, 128},                                  // records that go to one client
		{n / 10, 1, c.Most / 4, 128}, {n / 4, 1, c.Most / 8, 128}, // few connections, and no rest
		{n, 1, 1, 128}, {n, 1, 5, 128}, {n / 2, 1, 20, 128}, {n / 2, 1, 10, 2000},
		{n / 2, 1, 2, 128}, {n / 4, 1, 4, 500}, // loops that rest, as most do
		{n, 1, c.Most / 8, 128}, {n, 1, c.Most / 2, 128}, {n, 1, c.Most, 128}, {n, 1, 2 * c.Most, 128},
		{n, 1, c.Most / 8, 1000}, {n / 2, 1, c.Most / 2, 1000}, {n, 1, c.Most / 2, 1000},
	}
	if c.Keyed != "" {
		list = append(list, trial{n, n / keyedMembers, 1, 512}, trial{n, n / keyedMembers, 4, 128},
			trial{n / 4 / keyedMembers * keyedMembers, n / 4 / keyedMembers, 2, 128})
	}
	return append(list, c.heaviest())
}

// heaviest is about as much as a loop can send.
func (c *CalibrateConfig) heaviest() trial { return trial{c.Clients, 1, c.Most, 1000} }

// tooMuch reports whether a trial is at least the heaviest: tapes may drop some of its messages.
func (c *CalibrateConfig) tooMuch(t trial) bool {
	m := c.heaviest()
	m.rate = t.rate
	return t == m && t.rate >= c.Most
}

// overload doubles the heaviest trial until a loop cannot send everything. That shows how
// long its sends then get, and what they cost.
func (c *CalibrateConfig) overload(ctx context.Context, r *reference) error {
	t := c.heaviest()
	for range 2 {
		if r.points[len(r.points)-1].overloaded() {
			return nil
		}
		t.rate *= 2
		text.LogLine(c.Log, "a loop sent everything; one more point: %s", t)
		if err := r.measure(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// keyedMembers is how many members a room of the keyed trials has.
const keyedMembers = 100

// Calibrate measures the points and fits the model.
func Calibrate(ctx context.Context, cfg CalibrateConfig) (*Calibration, error) {
	cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Ready(ctx)
	if err != nil {
		return nil, err
	}
	cal := &Calibration{Version: CalibrationVersion, Made: time.Now().UTC(), TLS: e.TLS, Kafka: !cfg.Target.Direct}
	if err := cfg.atRest(ctx, e, cal); err != nil {
		return nil, err
	}
	r := reference{cfg: &cfg, end: e, loops: cal.Loops}
	for i, t := range cfg.trials() {
		text.LogLine(cfg.Log, "point %d of %d: %s", i+1, len(cfg.trials()), t)
		err := r.measure(ctx, t)
		if err == nil && t == cfg.heaviest() {
			err = cfg.overload(ctx, &r)
		}
		if invalid := (*job.InvalidError)(nil); t == cfg.heaviest() && errors.As(err, &invalid) {
			text.LogLine(cfg.Log, "left out: the most that a loop can send is unknown: %v", err)
		} else if err != nil {
			return nil, fmt.Errorf("point %d: %w", i+1, err)
		}
	}
	cal.Reference, cal.Varied = text.Median(r.references), slices.Max(r.references)/slices.Min(r.references)
	cal.Points = r.against(cal.Reference)
	cal.fit()
	return cal, nil
}

func (c *CalibrateConfig) defaults() {
	c.Clients = cmp.Or(c.Clients, 10_000)
	c.Most = cmp.Or(c.Most, 400)
	c.Window = cmp.Or(c.Window, 8*time.Second)
	c.Procs, c.Repeats = max(c.Procs, 1), max(c.Repeats, 1)
}

func (c *CalibrateConfig) check() error {
	switch {
	case c.Clients < 10*keyedMembers:
		return job.Inputf("--clients %d: at least %d are needed", c.Clients, 10*keyedMembers)
	case c.Window < 2*time.Second:
		return job.Inputf("--window %s: at least two seconds are needed to measure the gateway's CPU time", c.Window)
	case c.Most < 8:
		return job.Inputf("--most %s: at least 8 messages a second are needed", text.Number(c.Most))
	case c.Keyed != "" && !strings.Contains(c.Keyed, "{key}"):
		return job.Inputf("--keyed %q: it must hold {key}", c.Keyed)
	}
	if err := c.Target.CheckDescriptors(c.Clients, c.Procs); err != nil {
		return err
	}
	for _, t := range c.trials() { // a refusal of the last one would waste minutes
		f := c.fanout(t, c.Window)
		if err := f.Validate(); err != nil {
			return job.Inputf("%s: %v", t, err)
		}
	}
	return nil
}

func (c *CalibrateConfig) fanout(t trial, window time.Duration) bench.FanoutConfig {
	f := bench.FanoutConfig{
		Target: c.Target, Clients: t.clients, Procs: min(c.Procs, t.clients), Rooms: []string{c.Room},
		Rate: t.rate * float64(t.groups), Size: t.size, Fields: c.Fields,
		Warmup: 2 * time.Second, Duration: window, Pace: time.Millisecond,
	}
	f.Target.Agents.Addrs = f.Target.Agents.Addrs[:min(len(f.Target.Agents.Addrs), t.clients)]
	if t.groups > 1 {
		f.Rooms, f.Group, f.PerRoom = []string{c.Keyed}, keyedMembers, t.rate
	}
	return f
}

// attempts is how often a point is measured at most. At times a virtual machine gives the
// bench no time, and such a run proves nothing.
const attempts = 3

// unspoilt makes a run, and makes it again if the bench was the bottleneck.
func unspoilt(log io.Writer, run func() (*Point, error)) (*Point, error) {
	for i := 1; ; i++ {
		p, err := run()
		if invalid := (*job.InvalidError)(nil); !errors.As(err, &invalid) || i == attempts {
			return p, err
		}
		text.LogLine(log, "again, because: %v", err)
	}
}

func (c *CalibrateConfig) measure(ctx context.Context, e bench.Endpoint, t trial, window time.Duration) (*Point,
	error) {
	return unspoilt(c.Log, func() (*Point, error) { return c.once(ctx, e, t, window) })
}

func (c *CalibrateConfig) once(ctx context.Context, e bench.Endpoint, t trial, window time.Duration) (*Point, error) {
	f := c.fanout(t, window)
	local := strings.HasPrefix(e.Addr, "127.")
	kernel := watchKernel(ctx)
	res, err := bench.Fanout(ctx, f)
	held := kernel()
	if fault := (*job.FaultError)(nil); errors.As(err, &fault) && c.tooMuch(t) {
		err = nil // what a tape no longer holds is lost
	}
	if err != nil {
		return nil, err
	}
	g := res.Runs[0]
	p := &Point{
		Load: t.load(), Seconds: window.Seconds(), Cores: g.Cores, Bytes: g.Bytes,
		Sends: g.Counters[scrape.MetricSends], Frames: g.Counters[scrape.MetricFrames],
		Records: g.Counters[scrape.MetricRecords], Passing: g.Counters[scrape.MetricPassing],
		Busy:     g.Counters[scrape.MetricBusy],
		Resident: g.RSS, Tapes: g.TapeBytes, P50: g.Latency.P50, P99: g.Latency.P99,
	}
	p.Load.TapeBytes, p.Wire = g.TapeBytes, g.Bytes*p.Seconds
	if local { // both ends are on this machine
		p.Kernel = held / 2
	}
	return p, machine.Pause(ctx, time.Second)
}

// atRest measures what connections cost that get nothing: CPU, memory of the process and
// of the kernel, and the CPU of connecting them.
func (c *CalibrateConfig) atRest(ctx context.Context, e bench.Endpoint, cal *Calibration) error {
	s := scrape.New(e.Admin)
	m := &cal.Model
	idle := func(d time.Duration) (scrape.Metrics, float64, error) {
		from, err := s.Scrape(ctx)
		if err != nil {
			return nil, 0, err
		}
		if err := machine.Pause(ctx, d); err != nil {
			return nil, 0, err
		}
		to, err := s.MidRun(ctx)
		return to, (to[scrape.MetricCPU] - from[scrape.MetricCPU]) / d.Seconds(), err
	}
	first, base, err := idle(c.Window)
	if err != nil {
		return err
	}
	cal.Loops = math.Max(first[scrape.MetricLoops], 1)
	m.Base, m.Resident = base, first[scrape.MetricRSS]
	j := c.Target.Job(e)
	j.Clients, j.Rooms, j.Size = c.Clients, []string{c.Room}, 128
	workers, err := pool.Start(ctx, j, c.Procs)
	if err != nil {
		return err
	}
	defer workers.Stop()
	kernel, sees := kernelObjects(), strings.HasPrefix(e.Addr, "127.")
	text.LogLine(c.Log, "%d clients that get nothing", c.Clients)
	if _, err := bench.Join(ctx, workers, c.Clients); err != nil {
		return err
	}
	joined, err := s.MidRun(ctx)
	if err != nil {
		return err
	}
	n := float64(c.Clients)
	m.Handshake = (joined[scrape.MetricCPU] - first[scrape.MetricCPU]) / n
	last, rest, err := idle(max(c.Window, 10*time.Second))
	if err != nil {
		return err
	}
	m.Idle = math.Max(0, rest-base) / n
	m.Connection = (last[scrape.MetricRSS] - first[scrape.MetricRSS]) / n
	if sees { // both ends are on this machine
		m.Kernel = (kernelObjects() - kernel) / n / 2
	}
	return workers.Leave()
}
