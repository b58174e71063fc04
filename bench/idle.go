package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// IdleConfig measures what idle connections cost, each a user in the gateway's own rooms.
type IdleConfig struct {
	Target Target
	Procs  int           // client processes. 0: 1
	Steps  []int         // numbers of clients at which memory is read, ascending
	Settle time.Duration // how long they rest before that. 0: 5 s
	GC     bool          // make the gateway collect garbage first (needs its admin.pprof)

	// Touch delivers a message to each private room of each user first. It goes through the
	// append endpoint or, with Brokers, to each of TouchTopics, keyed by the user.
	Touch       bool
	TouchTopics []string

	Log io.Writer // progress, a line each. nil: none
}

// privateRooms are the rooms that each user has alone (wire protocol, 3).
var privateRooms = []string{"user:{user}", "portfolio:{user}", "orders:{user}", "notifications:{user}"}

// IdleStep is the gateway's metrics with so many connections.
type IdleStep struct {
	Clients    int     `json:"clients"`
	RSS        float64 `json:"rss"`
	Heap       float64 `json:"heap_in_use"`
	Alloc      float64 `json:"heap_alloc"`
	Goroutines float64 `json:"goroutines"`
	metrics    scrape.Metrics
}

// IdleResult is what Idle measured. Slopes are bytes per connection, from the first to the last step.
type IdleResult struct {
	Scenario   string             `json:"scenario"`
	Touched    bool               `json:"touched"`
	Steps      []IdleStep         `json:"steps"`
	RSS        float64            `json:"rss_per_connection"`
	Heap       float64            `json:"heap_in_use_per_connection"`
	Alloc      float64            `json:"heap_alloc_per_connection"`
	Goroutines float64            `json:"goroutines_per_connection"`
	Parts      map[string]float64 `json:"parts"` // every other metric in bytes that changed, per connection
	Handshake  job.Quantiles      `json:"handshake"`
}

// Idle runs the measurement.
func Idle(ctx context.Context, cfg IdleConfig) (*IdleResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg.Procs = max(cfg.Procs, 1)
	cfg.Settle = cmp.Or(cfg.Settle, 5*time.Second)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	s := scrape.New(e.Admin)
	if _, err := s.Scrape(ctx); err != nil {
		return nil, err
	}
	if cfg.Touch {
		if err := cfg.checkTouch(ctx, e); err != nil {
			return nil, err
		}
	}
	last := cfg.Steps[len(cfg.Steps)-1]
	j := cfg.Target.Job(e)
	j.Clients, j.Size = last, orderSize
	workers, err := pool.Start(ctx, j, cfg.Procs)
	if err != nil {
		return nil, err
	}
	defer workers.Stop()
	res := &IdleResult{Scenario: "idle", Touched: cfg.Touch}
	before := 0
	for _, n := range cfg.Steps {
		step, hand, err := cfg.step(ctx, e, s, workers, before, n)
		if err != nil {
			return nil, err
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
		return job.Inputf("--steps %v: two or more ascending numbers of clients are needed for a slope", c.Steps)
	}
	return c.Target.CheckDescriptors(c.Steps[len(c.Steps)-1], c.Procs)
}

func (c *IdleConfig) checkTouch(ctx context.Context, e Endpoint) error {
	switch {
	case c.Target.Direct:
		return c.Target.opens(ctx, e)
	case len(c.Target.Brokers) == 0 || len(c.TouchTopics) == 0:
		return job.Inputf("--touch delivers a message to each private room: give --direct, or --brokers and " +
			"--touch-topics")
	}
	return nil
}

// step connects more clients, delivers to their rooms, and reads the metrics.
func (c *IdleConfig) step(ctx context.Context, e Endpoint, s *scrape.Scraper, workers *pool.Workers, before,
	n int) (step IdleStep, hand *job.Hist, err error) {
	began := time.Now()
	status, err := Join(ctx, workers, n)
	if err != nil {
		return step, nil, err
	}
	text.LogLine(c.Log, "%d clients joined, the last %d in %.1f s", status.Joined, n-before,
		time.Since(began).Seconds())
	if c.Touch {
		if err := c.touch(ctx, e, workers, before, n, status.Others); err != nil {
			return step, nil, err
		}
	}
	if err := machine.Pause(ctx, c.Settle); err != nil {
		return step, nil, err
	}
	if c.GC {
		if err := collect(ctx, e.Admin); err != nil {
			return step, nil, err
		}
	}
	m, err := s.Scrape(ctx)
	if err != nil {
		return step, nil, err
	}
	return IdleStep{
		Clients: status.Joined, RSS: m[scrape.MetricRSS], Heap: m[scrape.MetricHeap], Alloc: m[scrape.MetricAlloc],
		Goroutines: m[scrape.MetricGoroutines], metrics: m,
	}, status.Handshake, nil
}

// touch publishes to each private room of the new users, and waits until all have arrived.
func (c *IdleConfig) touch(ctx context.Context, e Endpoint, workers *pool.Workers, before, n int, seen int64) error {
	shape, err := job.NewValueShape(orderSize, "")
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
			rooms = []string{""} // the route takes the room from the key
		}
		err = workers.Users(before, n, func(user string) error {
			for _, room := range rooms {
				v := shape.Make(nil, time.Now().UnixNano(), sent)
				if err := to.Put(strings.ReplaceAll(room, "{user}", user), []byte(user), v); err != nil {
					return err
				}
				sent++
			}
			_, err := to.Flush()
			return err
		})
		if err != nil {
			return err
		}
		if _, err := to.Close(ctx); err != nil {
			return err
		}
	}
	var came int64
	inTime, err := machine.Until(ctx, time.Minute, 50*time.Millisecond, func() (bool, error) {
		s, err := workers.Status()
		came = s.Others - seen
		return came >= sent, err
	})
	if err == nil && !inTime {
		err = fmt.Errorf("only %d of %d messages to private rooms have come", came, sent)
	}
	return err
}

// collect makes the gateway collect garbage, by asking for its heap profile.
func collect(ctx context.Context, admin scrape.Port) error {
	at := admin.URL + "/debug/pprof/heap?gc=1"
	client := admin.Client(time.Minute)
	for range 2 { // sweeping and finalizers need the second one
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			return job.Inputf("--admin: %v", err)
		}
		admin.Authorize(req.Header)
		resp, err := client.Do(req)
		if err != nil {
			return job.Inputf("cannot have the gateway collect: %s", job.RootOf(err))
		}
		if resp.StatusCode != http.StatusOK {
			err = job.Inputf("--gc needs the gateway's admin.pprof: %v", admin.Refusal(resp))
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the profile is not needed
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

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
	t := &text.Table{}
	touched := ""
	if r.Touched {
		touched = ", after a message to each private room"
	}
	t.Line("idle · users in the gateway's own rooms%s", touched)
	for _, s := range r.Steps {
		t.Row(text.Count(int64(s.Clients)), "%s resident · heap in use %s, allocated %s · %s goroutines",
			text.Size(s.RSS), text.Size(s.Heap), text.Size(s.Alloc), text.Number(s.Goroutines))
	}
	t.Row("per connection", "%s resident · heap in use %s, allocated %s · %.4f goroutines", text.Size(r.RSS),
		text.Size(r.Heap), text.Size(r.Alloc), r.Goroutines)
	for _, name := range slices.SortedFunc(maps.Keys(r.Parts), func(a, b string) int {
		return cmp.Compare(r.Parts[b], r.Parts[a])
	}) {
		t.Row("", "%s for %s", text.Size(r.Parts[name]), name)
	}
	t.Row("handshakes", "%s", r.Handshake)
	return t.Write(w)
}
