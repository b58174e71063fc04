package bench

import (
	"cmp"
	"context"
	"io"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// HandshakeConfig measures handshakes, one after another or at a rate: connect, upgrade
// with a token that the gateway has never seen, until `auto_subscribed`.
type HandshakeConfig struct {
	Target Target
	Count  int           // 0: 5,000
	Batch  int           // connections that are open at a time. 0: 5,000
	Rate   float64       // a second, while at most 64 are under way. 0: one after another
	Settle time.Duration // how long the gateway rests before it counts as idle. 0: 2 s
	Log    io.Writer     // progress, a line each. nil: none
}

// HandshakeResult is what Handshake measured.
type HandshakeResult struct {
	Scenario string        `json:"scenario"`
	Token    string        `json:"token"` // HS256, Ed25519 or fixed
	Count    int           `json:"count"`
	Asked    float64       `json:"asked_rate"` // a second; 0: one after another
	Latency  job.Quantiles `json:"latency"`
	// The gateway's CPU time in µs for each handshake: without the close, and with the
	// closing handshake and the end of the connection.
	CPU      float64 `json:"gateway_cpu_us"`
	CPUClose float64 `json:"gateway_cpu_us_with_close"`
	// The same minus what an idle gateway uses.
	NetCPU      float64 `json:"gateway_cpu_us_net"`
	NetCPUClose float64 `json:"gateway_cpu_us_net_with_close"`
	Background  float64 `json:"gateway_background_cores"`
	Seconds     float64 `json:"seconds"`
}

// Handshake runs the measurement.
func Handshake(ctx context.Context, cfg HandshakeConfig) (*HandshakeResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg.Count, cfg.Batch = cmp.Or(cfg.Count, 5000), cmp.Or(cfg.Batch, 5000)
	cfg.Settle = cmp.Or(cfg.Settle, 2*time.Second)
	if cfg.Rate < 0 {
		return nil, job.Inputf("--rate %v: it cannot be negative; 0 makes handshakes one after another", cfg.Rate)
	}
	cfg.Batch = min(cfg.Batch, cfg.Count)
	if cfg.Count < 1 {
		return nil, job.Inputf("--count %d: at least one is needed", cfg.Count)
	}
	if err := cfg.Target.CheckOneProcess("--batch", cfg.Batch); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	h := handshakes{cfg: cfg, end: e, scraper: scrape.New(e.Admin), latency: job.NewHist()}
	res := &HandshakeResult{Scenario: "handshake", Token: cfg.Target.Keys.Kind(), Count: cfg.Count, Asked: cfg.Rate}
	if res.Background, err = h.background(ctx); err != nil {
		return nil, err
	}
	for done := 0; done < cfg.Count; done += cfg.Batch {
		n := min(cfg.Batch, cfg.Count-done)
		if err := h.batch(ctx, done, n); err != nil {
			return nil, err
		}
		text.LogLine(cfg.Log, "%d handshakes", done+n)
	}
	each := 1e6 / float64(cfg.Count)
	res.Latency = h.latency.Quantiles()
	res.CPU, res.CPUClose = h.open.cpu*each, (h.open.cpu+h.shut.cpu)*each
	res.NetCPU = res.CPU - res.Background*h.open.seconds*each
	res.NetCPUClose = res.CPUClose - res.Background*(h.open.seconds+h.shut.seconds)*each
	res.Seconds = h.open.seconds
	return res, nil
}

type handshakes struct {
	cfg        HandshakeConfig
	end        Endpoint
	scraper    *scrape.Scraper
	latency    *job.Hist
	open, shut spent
}

// spent is what the gateway used over some time.
type spent struct{ cpu, seconds float64 }

func (h *handshakes) usage(ctx context.Context) (spent, error) {
	m, err := h.scraper.Scrape(ctx)
	return spent{m[scrape.MetricCPU], float64(machine.MonotonicIn(0)) / 1e9}, err
}

func (s *spent) add(from, to spent) {
	s.cpu += to.cpu - from.cpu
	s.seconds += to.seconds - from.seconds
}

func (h *handshakes) background(ctx context.Context) (float64, error) {
	a, err := h.usage(ctx)
	if err != nil {
		return 0, err
	}
	if err := machine.Pause(ctx, h.cfg.Settle); err != nil {
		return 0, err
	}
	b, err := h.usage(ctx)
	var s spent
	s.add(a, b)
	return s.cpu / s.seconds, err
}

func (h *handshakes) batch(ctx context.Context, first, n int) error {
	inFlight := 1
	if h.cfg.Rate > 0 {
		inFlight = job.DefaultInFlight
	}
	j := h.cfg.Target.Job(h.end)
	j.First, j.Clients, j.Size, j.InFlight, j.Rate = first, n, orderSize, inFlight, h.cfg.Rate
	workers, err := pool.Start(ctx, j, 1)
	if err != nil {
		return err
	}
	defer workers.Stop()
	a, err := h.usage(ctx)
	if err != nil {
		return err
	}
	status, err := Join(ctx, workers, n)
	if err != nil {
		return err
	}
	b, err := h.usage(ctx)
	if err != nil {
		return err
	}
	if err := workers.Leave(); err != nil {
		return err
	}
	if err := machine.Pause(ctx, h.cfg.Settle/4); err != nil { // until the gateway has done the last closes
		return err
	}
	c, err := h.usage(ctx)
	if err != nil {
		return err
	}
	h.latency.Merge(status.Handshake)
	h.open.add(a, b)
	h.shut.add(b, c)
	return nil
}

// WriteText writes the result as a table.
func (r *HandshakeResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	pace := "one after another"
	if r.Asked > 0 {
		pace = text.Number(r.Asked) + " a second"
	}
	t.Line("handshake · %s, %s, %s token, to auto_subscribed", text.Count(int64(r.Count)), pace, r.Token)
	t.Row("latency", "%s", r.Latency)
	t.Row("gateway", "CPU %.1f µs each, %.1f µs with closing", r.CPU, r.CPUClose)
	t.Row("  net", "CPU %.1f µs each, %.1f µs with closing, less %.4f cores that it uses at rest", r.NetCPU,
		r.NetCPUClose, r.Background)
	t.Row("rate", "%.0f/s", float64(r.Count)/r.Seconds)
	return t.Write(w)
}
