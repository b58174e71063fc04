package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// Timeline is the course of a run: what clients got in each interval, and what the gateway used.
type Timeline struct {
	Interval float64        `json:"interval_s"`
	Clients  []ClientPoint  `json:"clients"`
	Gateway  []GatewayPoint `json:"gateway"`
}

// ClientPoint is what came in one interval. Each client process measures the length of its
// own interval. So a late answer makes the interval longer, and its rates stay right.
type ClientPoint struct {
	At        float64 `json:"at_s"` // its end, relative to the window's start: negative in the warmup
	Messages  int64   `json:"messages"`
	Delivered float64 `json:"delivered_per_s"`
	Bytes     float64 `json:"bytes_per_s"`
	Timed     int64   `json:"timed"` // messages with latencies: those due in the window
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Connected int     `json:"connected"`

	PublisherLag float64 `json:"publisher_lag_max_ms"` // 0 for rawsend, which publishes to itself
	ClientLag    float64 `json:"client_lag_p99_ms"`
	Asleep       float64 `json:"client_asleep"` // share of the interval
}

// GatewayPoint is one look at the gateway's metrics.
type GatewayPoint struct {
	At    float64 `json:"at_s"`
	Cores float64 `json:"cores"` // since the look before
	RSS   float64 `json:"rss"`
	Heap  float64 `json:"heap"` // in use
}

// mostPoints bounds a timeline: a run of days has longer intervals.
const mostPoints = 3600

// scrapeEvery is the least time between two looks at /metrics. One costs 0.9 ms of CPU (doc.go).
const scrapeEvery = time.Second

// intervalOf returns one second, or less for a short window and more for a long one.
func intervalOf(window time.Duration) time.Duration {
	return max(100*time.Millisecond, min(time.Second, window/20), window/mostPoints)
}

// follower asks the clients for their intervals and the gateway for its metrics during a
// run. It has a goroutine of its own, since busy clients answer late and the window's
// edges don't wait. From start to stop that goroutine owns the workers and the timeline.
type follower struct {
	workers *pool.Workers
	scraper *scrape.Scraper
	timing  job.Timing
	every   time.Duration
	show    func(ClientPoint) // progress; nil: none
	lag     atomic.Int64      // the publisher's longest lag since the last point, ns

	line   Timeline
	cpu    float64 // the gateway's, at the last look
	looked int64   // when that was, monotonic. 0: never
	cancel context.CancelFunc
	done   chan error
}

func (f *follower) start(ctx context.Context) {
	f.line.Interval = f.every.Seconds()
	ctx, f.cancel = context.WithCancel(ctx)
	f.done = make(chan error, 1)
	go func() { f.done <- f.follow(ctx) }()
}

// stop ends the following. It returns an error if a worker no longer answers.
func (f *follower) stop() error {
	if f.cancel == nil {
		return nil // it did not start
	}
	f.cancel()
	err := <-f.done
	f.show = nil
	return err
}

func (f *follower) follow(ctx context.Context) error {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		answers, err := f.workers.TellAll(job.Order{Op: "interval"})
		if err != nil {
			return err
		}
		f.add(answers)
		if now := machine.MonotonicIn(0); now-f.looked >= int64(scrapeEvery) {
			f.look(ctx)
		}
	}
}

func (f *follower) add(answers []job.Answer) {
	p, latency, lag := ClientPoint{}, job.NewHist(), job.NewHist()
	for _, a := range answers {
		v := a.Interval
		if v == nil || v.To <= v.From {
			continue
		}
		s := float64(v.To-v.From) / 1e9
		p.Messages += v.Frames
		p.Delivered += float64(v.Frames) / s
		p.Bytes += float64(v.Bytes) / s
		p.Asleep += float64(v.Asleep) / 1e9 / s / float64(len(answers))
		p.Connected += a.Status.Joined
		latency.Merge(v.Latency)
		lag.Merge(v.Lag)
	}
	q := latency.Quantiles()
	p.At = f.seconds(machine.MonotonicIn(0)) // a worker's clock may be another machine's
	p.Timed, p.P50, p.P99, p.Max = q.Count, q.P50, q.P99, q.Max
	p.ClientLag = lag.Quantiles().P99
	p.PublisherLag = float64(f.lag.Swap(0)) / 1e6
	f.line.Clients = append(f.line.Clients, p)
	if f.show != nil {
		f.show(p)
	}
}

// look reads the gateway's metrics. A failure is skipped: looks at the window's edges report it.
func (f *follower) look(ctx context.Context) {
	m, err := f.scraper.Scrape(ctx)
	if err != nil {
		return
	}
	now := machine.MonotonicIn(0)
	if f.looked != 0 {
		f.line.Gateway = append(f.line.Gateway, GatewayPoint{
			At: f.seconds(now), Cores: (m[scrape.MetricCPU] - f.cpu) / (float64(now-f.looked) / 1e9),
			RSS: m[scrape.MetricRSS], Heap: m[scrape.MetricHeap],
		})
	}
	f.cpu, f.looked = m[scrape.MetricCPU], now
}

// seconds returns the time from the window's start to a reading of the monotonic clock.
func (f *follower) seconds(mono int64) float64 {
	return float64(mono+f.timing.Anchor-f.timing.From) / 1e9
}

// CurvePoint is one point of the percentile curve.
type CurvePoint struct {
	Percent float64 `json:"percent"`
	MS      float64 `json:"ms"`
}

// curve returns the percentiles of h and the longest duration, as far as a duration lies beyond.
func curve(h *job.Hist) []CurvePoint {
	var out []CurvePoint
	n := float64(h.Count())
	if n == 0 {
		return nil
	}
	for _, q := range []float64{0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97.5, 98, 99, 99.25, 99.5,
		99.75, 99.8, 99.9, 99.925, 99.95, 99.975, 99.98, 99.99, 99.995, 99.998, 99.999} {
		if n*(100-q) >= 100 {
			out = append(out, CurvePoint{q, float64(h.Quantile(q)) / 1e6})
		}
	}
	return append(out, CurvePoint{100, float64(h.Max()) / 1e6})
}

// plainEvery is the time between two lines of progress where a line cannot be overwritten.
const plainEvery = 5 * time.Second

// Progress shows how a run goes. On a terminal it is one line that is overwritten.
// Elsewhere it is plain lines, at most one in five seconds. Any goroutine may use it.
type Progress struct {
	w     io.Writer
	width func() int // columns of the terminal. nil: it is not a terminal

	mu   sync.Mutex
	open bool // the last line will be overwritten
	told time.Time
}

// NewProgress returns a Progress that writes to w, which may be a terminal.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = func() int {
			n, _, err := term.GetSize(int(f.Fd()))
			if err != nil || n < 20 {
				return 80
			}
			return n
		}
	}
	return p
}

// Write writes whole lines that stay.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.w.Write(b)
}

func (p *Progress) tell(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == nil {
		if now := time.Now(); now.Sub(p.told) >= plainEvery {
			p.told = now
			_, _ = fmt.Fprintln(p.w, s) // progress only
		}
		return
	}
	// A line that the terminal wraps could not be overwritten.
	if r := []rune(s); len(r) >= p.width() {
		s = string(r[:p.width()-1])
	}
	_, _ = io.WriteString(p.w, "\r"+s+"\x1b[K")
	p.open = true
}

// clear removes the line that would be overwritten.
func (p *Progress) clear() {
	if p.open {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.open = false
	}
}

// progress returns the function that shows a run's intervals; nil: none.
func (r *fanoutRun) progress() func(ClientPoint) {
	p, ok := r.cfg.Log.(*Progress)
	if !ok {
		return nil
	}
	return func(at ClientPoint) { p.tell(at.line(r.cfg.Duration, r.cfg.Clients)) }
}

// endProgress removes the line that would be overwritten.
func (r *fanoutRun) endProgress() {
	if p, ok := r.cfg.Log.(*Progress); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
	}
}

func (c *ClientPoint) line(window time.Duration, clients int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f of %s s", c.At, text.Number(window.Seconds()))
	if c.At < 0 {
		b.WriteString(" (warmup)")
	}
	fmt.Fprintf(&b, " · %s of %s clients · %s/s", text.Count(int64(c.Connected)), text.Count(int64(clients)),
		text.Count(int64(c.Delivered)))
	if c.Timed > 0 {
		fmt.Fprintf(&b, " · p99 %s", job.MS(c.P99))
	}
	fmt.Fprintf(&b, " · bench: publisher lag %s, client lag %s, asleep %.0f %%", job.MS(c.PublisherLag),
		job.MS(c.ClientLag), 100*c.Asleep)
	return b.String()
}
