package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// IdleConfig measures what connections cost that have nothing to do: users of
// their own, each in the rooms that the gateway joins by itself.
type IdleConfig struct {
	Target Target
	Procs  int           // client processes. 0: 1
	Steps  []int         // how many are connected when memory is read, growing
	Settle time.Duration // how long they are left alone before that. 0: 5 s
	GC     bool          // have the gateway collect first (needs its admin.pprof)

	// Touch delivers a message to each private room of each user first:
	// through the append endpoint or, with Brokers, to each of TouchTopics, keyed
	// by the user.
	Touch       bool
	TouchTopics []string

	Log io.Writer // progress, a line each. nil: none
}

// privateRooms are those that each user has of their own (wire protocol, 3).
var privateRooms = []string{"user:{user}", "portfolio:{user}", "orders:{user}", "notifications:{user}"}

// IdleStep is what the gateway's metrics said with so many connections.
type IdleStep struct {
	Clients    int     `json:"clients"`
	RSS        float64 `json:"rss"`
	Heap       float64 `json:"heap_in_use"`
	Alloc      float64 `json:"heap_alloc"`
	Goroutines float64 `json:"goroutines"`
	metrics    Metrics
}

// IdleResult is what Idle measured. Slopes are bytes for each connection more,
// from the first step to the last.
type IdleResult struct {
	Scenario   string             `json:"scenario"`
	Touched    bool               `json:"touched"`
	Steps      []IdleStep         `json:"steps"`
	RSS        float64            `json:"rss_per_connection"`
	Heap       float64            `json:"heap_in_use_per_connection"`
	Alloc      float64            `json:"heap_alloc_per_connection"`
	Goroutines float64            `json:"goroutines_per_connection"`
	Parts      map[string]float64 `json:"parts"` // every other metric in bytes that grew, per connection
	Handshake  Quantiles          `json:"handshake"`
}

// Idle runs the measurement.
func Idle(ctx context.Context, cfg IdleConfig) (*IdleResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg.Procs = max(cfg.Procs, 1)
	if cfg.Settle == 0 {
		cfg.Settle = 5 * time.Second
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.resolve(ctx)
	if err != nil {
		return nil, err
	}
	s := newScraper(e.admin)
	if _, err := s.scrape(ctx); err != nil {
		return nil, err
	}
	if cfg.Touch {
		if err := cfg.checkTouch(ctx, e); err != nil {
			return nil, err
		}
	}
	last := cfg.Steps[len(cfg.Steps)-1]
	crew, err := newCrew(ctx, Job{
		Addr: e.addr, Host: e.host, TLS: e.tls, CA: cfg.Target.CA, Path: e.path, Sources: e.sources, Keys: cfg.Target.Keys, Agents: cfg.Target.Agents,
		Clients: last, Size: orderSize,
	}, cfg.Procs)
	if err != nil {
		return nil, err
	}
	defer crew.stop()
	res := &IdleResult{Scenario: "idle", Touched: cfg.Touch}
	before := 0
	for _, n := range cfg.Steps {
		step, hand, err := cfg.step(ctx, e, s, crew, before, n)
		if err != nil {
			return res, err
		}
		res.Steps = append(res.Steps, step)
		res.Handshake = hand.Quantiles()
		before = n
	}
	res.slopes()
	return res, nil
}

func (c *IdleConfig) check() error {
	if len(c.Steps) < 2 || c.Steps[0] < 1 || !slices.IsSorted(c.Steps) || c.Steps[0] == c.Steps[len(c.Steps)-1] {
		return inputf("--steps %v: two or more growing numbers of clients are needed for a slope", c.Steps)
	}
	return c.Target.checkDescriptors(c.Steps[len(c.Steps)-1], c.Procs)
}

func (c *IdleConfig) checkTouch(ctx context.Context, e endpoint) error {
	switch {
	case c.Target.Direct:
		return checkDirect(ctx, e.admin)
	case len(c.Target.Brokers) == 0 || len(c.TouchTopics) == 0:
		return inputf("--touch delivers a message to each private room: give --direct, or --brokers and --touch-topics")
	}
	return nil
}

// step connects more clients, delivers to their rooms, and reads the metrics.
func (c *IdleConfig) step(ctx context.Context, e endpoint, s *scraper, crew *crew, before, n int) (step IdleStep, hand *Hist, err error) {
	began := time.Now()
	status, err := crew.connect(n)
	if err != nil {
		if ctx.Err() != nil {
			return step, nil, ctx.Err()
		}
		return step, nil, inputf("%v", err)
	}
	logLine(c.Log, "%d clients joined, the last %d in %.1f s", status.Joined, n-before, time.Since(began).Seconds())
	if c.Touch {
		if err := c.touch(ctx, e, crew, before, n, status.Others); err != nil {
			return step, nil, err
		}
	}
	if err := pause(ctx, c.Settle); err != nil {
		return step, nil, err
	}
	if c.GC {
		if err := collect(ctx, e.admin); err != nil {
			return step, nil, err
		}
	}
	m, err := s.scrape(ctx)
	if err != nil {
		return step, nil, err
	}
	return IdleStep{
		Clients: status.Joined, RSS: m[metricRSS], Heap: m[metricHeap], Alloc: m[metricAlloc],
		Goroutines: m[metricGoroutines], metrics: m,
	}, status.Handshake, nil
}

// touch publishes a message to each private room of the users that are new,
// and waits until all have them.
func (c *IdleConfig) touch(ctx context.Context, e endpoint, crew *crew, before, n int, seen int64) error {
	shape, err := newValueShape(orderSize, "")
	if err != nil {
		return err
	}
	topics := c.TouchTopics
	if c.Target.Direct {
		topics = []string{""}
	}
	var sent int64
	for _, topic := range topics {
		to, err := c.Target.sink(ctx, e, topic)
		if err != nil {
			return err
		}
		rooms := privateRooms
		if topic != "" {
			rooms = []string{""} // the route says which, by the key
		}
		err = crew.users(before, n, func(user string) error {
			for _, room := range rooms {
				v := shape.make(nil, time.Now().UnixNano(), sent)
				if err := to.put(strings.ReplaceAll(room, "{user}", user), []byte(user), v); err != nil {
					return err
				}
				sent++
			}
			_, err := to.flush()
			return err
		})
		if err != nil {
			return err
		}
		if _, err := to.close(ctx); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		s, err := crew.status()
		if err != nil {
			return err
		}
		if s.Others-seen >= sent {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("of %d messages to private rooms only %d have come", sent, s.Others-seen)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// collect has the gateway collect its garbage, which its heap profile does.
func collect(ctx context.Context, admin adminPort) error {
	at := admin.url + "/debug/pprof/heap?gc=1"
	client := admin.client(time.Minute)
	for range 2 { // what the first frees of sweeping and finalizers, the second returns
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return inputf("--admin: %v", err)
		}
		admin.authorize(req.Header)
		resp, err := client.Do(req)
		if err != nil {
			return inputf("cannot have the gateway collect: %s", rootOf(err))
		}
		if resp.StatusCode != http.StatusOK {
			err = inputf("--gc needs the gateway's admin.pprof: %v", admin.refusal(resp))
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the profile itself isn't wanted
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// slopes takes the differences from the first step to the last.
func (r *IdleResult) slopes() {
	a, z := r.Steps[0], r.Steps[len(r.Steps)-1]
	n := float64(z.Clients - a.Clients)
	r.RSS, r.Heap, r.Alloc = (z.RSS-a.RSS)/n, (z.Heap-a.Heap)/n, (z.Alloc-a.Alloc)/n
	r.Goroutines = (z.Goroutines - a.Goroutines) / n
	r.Parts = map[string]float64{}
	for name, v := range z.metrics {
		base, _, _ := strings.Cut(name, "{")
		if d := (v - a.metrics[name]) / n; strings.HasSuffix(base, "_bytes") && (d >= 1 || d <= -1) {
			r.Parts[name] = d
		}
	}
}

// WriteText writes the result as a table.
func (r *IdleResult) WriteText(w io.Writer) error {
	t := &table{}
	touched := ""
	if r.Touched {
		touched = ", each private room having delivered a message"
	}
	t.line("idle · users in the gateway's own rooms%s", touched)
	for _, s := range r.Steps {
		t.row(count(int64(s.Clients)), "%s resident · heap in use %s, allocated %s · %s goroutines", size(s.RSS), size(s.Heap), size(s.Alloc), number(s.Goroutines))
	}
	t.row("per connection", "%s resident · heap in use %s, allocated %s · %.4f goroutines", size(r.RSS), size(r.Heap), size(r.Alloc), r.Goroutines)
	names := make([]string, 0, len(r.Parts))
	for name := range r.Parts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(r.Parts[b] - r.Parts[a]) })
	for _, name := range names {
		t.row("", "%s for %s", size(r.Parts[name]), name)
	}
	t.row("handshakes", "%s", r.Handshake)
	return t.write(w)
}

func logLine(w io.Writer, format string, args ...any) {
	if w != nil {
		_, _ = fmt.Fprintf(w, format+"\n", args...) // progress only
	}
}
