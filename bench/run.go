package bench

import (
	"fmt"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/publish"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// Seen is what a run or an observation saw of the clients and of the gateway.
type Seen struct {
	Clients   int           `json:"clients"`
	Handshake job.Quantiles `json:"handshake"` // connect to joined, many at a time

	// In the window.

	Delivered float64 `json:"delivered_per_s"` // data frames read
	Bytes     float64 `json:"bytes_per_s"`     // of data frames, with their headers
	CPU       float64 `json:"gateway_cpu_us_per_message"`
	Cores     float64 `json:"gateway_cores"`
	// Counters are the growth of the gateway's counters, with labels added up.
	Counters   map[string]float64 `json:"gateway_counters"`
	HeapGrowth float64            `json:"gateway_heap_growth"` // bytes of heap in use
	// ClientLag is from the kernel's receive time to the read, at a sample.
	ClientLag    job.Quantiles `json:"client_lag"`
	ClientAsleep float64       `json:"client_asleep"` // share of the window without anything to do

	// From the start of the warmup to the end.

	Invalid int64            `json:"invalid"`
	Breaks  int64            `json:"chain_breaks"` // in rooms whose members are promised every message
	Gone    int              `json:"connections_lost"`
	Notices map[string]int64 `json:"notices"`
	Closes  map[string]int64 `json:"closes,omitempty"` // and other ends of connections

	RSSPerConnection float64 `json:"gateway_rss_per_connection"` // bytes; the first run's is the most exact
	RSS              float64 `json:"gateway_rss"`                // at the end

	// The verdict.

	Faults   []string `json:"faults,omitempty"`   // in what was delivered
	Problems []string `json:"problems,omitempty"` // of the bench: the figures prove little
}

// fill takes what the readers counted and what the gateway used in a window of so many seconds.
func (s *Seen) fill(seconds float64, procs int, t *job.Tally, from, to scrape.Metrics) {
	s.Delivered, s.Bytes = float64(t.WindowFrames)/seconds, float64(t.WindowBytes)/seconds
	cpu := to[scrape.MetricCPU] - from[scrape.MetricCPU]
	s.Cores = cpu / seconds
	if t.WindowFrames > 0 {
		s.CPU = cpu * 1e6 / float64(t.WindowFrames)
	}
	s.Counters, s.HeapGrowth = scrape.Grown(from, to), to[scrape.MetricHeap]-from[scrape.MetricHeap]
	s.Invalid, s.Breaks, s.Gone = t.Invalid, t.Breaks, t.Gone
	s.ClientLag, s.ClientAsleep = t.Lag.Quantiles(), t.Asleep/seconds/float64(procs)
	s.Notices, s.Closes, s.Faults = t.Notices, t.Closes, t.Faults
}

// wrongRows writes the verdict, and how connections ended.
func (s *Seen) wrongRows(t *text.Table) {
	wrongRows(t, "", s.Faults, s.Problems)
	for why, n := range s.Closes {
		t.Row("closed", "%d: %s", n, why)
	}
}

// Run is one measured run of a fanout.
type Run struct {
	Name string `json:"name"`
	Seen

	Offered float64 `json:"offered_per_s"` // in the window: messages due × the clients that should get them

	job.Counts // of messages over the whole run, with warmup and stragglers

	Latency job.Quantiles `json:"latency"` // of the messages due in the window, from due to read

	// The gateway.

	TapeGrowth float64 `json:"gateway_tape_growth"` // bytes of tapes, over the window
	TapeBytes  float64 `json:"gateway_tape_bytes"`  // when the window ends
	// Refused is how many records the gateway did not deliver since the clients joined, by reason.
	Refused map[string]float64 `json:"gateway_refused,omitempty"`

	// The bench itself.

	PublisherLag     job.Quantiles `json:"publisher_lag"`  // from due to handed over
	PublisherLate    job.Quantiles `json:"publisher_late"` // the part of it that is the bench's own
	PublisherBlocked float64       `json:"publisher_blocked_s"`
	PublisherCores   float64       `json:"publisher_cores"`
	ClientTurns      job.Quantiles `json:"client_turns"` // one turn of the loop: no readable socket waits longer
	ClientCores      float64       `json:"client_cores"`
	ClientReads      float64       `json:"client_reads_per_s"`

	// ClockError is the possible error of latencies if clients run on other machines: half
	// of the fastest exchange of clocks.
	ClockError float64 `json:"clock_error_ms,omitempty"`

	// Parts of the scenario. nil: it has no such part.

	Feeds    []FeedReport    `json:"feeds,omitempty"` // the further feeds
	Orders   *OrdersReport   `json:"orders,omitempty"`
	Stalled  *StalledReport  `json:"stalled,omitempty"`
	Filtered *FilteredReport `json:"filtered,omitempty"`
	Slow     *SlowReport     `json:"slow,omitempty"`
	Churn    *ChurnReport    `json:"churn,omitempty"`
	Storm    *StormReport    `json:"storm,omitempty"`
	Soak     *SoakReport     `json:"soak,omitempty"`
	Abuse    *AbuseReport    `json:"abuse,omitempty"`
	Raw      *RawReport      `json:"rawsend,omitempty"`

	// For charts.

	Curve    []CurvePoint `json:"latency_curve,omitempty"`
	Timeline *Timeline    `json:"timeline,omitempty"`

	publisher, ordersPublisher publish.Published
	feedsPublished             []publish.Published
}

// FeedReport is about a further feed.
type FeedReport struct {
	Name string `json:"name"`
	job.Counts
	Latency job.Quantiles `json:"latency"` // from due to read
	Lag     job.Quantiles `json:"publisher_lag"`
	late    float64       // ms, p99: the bench's own part of the publisher's lag
}

// OrdersReport is about the messages to single users.
type OrdersReport struct {
	Want    int64         `json:"want"`
	Lost    int64         `json:"lost"`
	Late    int64         `json:"out_of_order"`
	Doubled int64         `json:"doubled"`
	Invalid int64         `json:"invalid"`
	Latency job.Quantiles `json:"latency"` // from due to read
	// Arrival is from due to the kernel's receive time. So it leaves out the time that the
	// client took to read, on the same cores as everything else.
	Arrival job.Quantiles `json:"arrival"`
	Lag     job.Quantiles `json:"publisher_lag"`
}

func newOrdersReport(t *job.Tally, p publish.Published) *OrdersReport {
	return &OrdersReport{Want: t.Want, Lost: t.Lost, Late: t.Late, Doubled: t.Doubled, Invalid: t.Invalid,
		Latency: t.Latency.Quantiles(), Arrival: t.Arrival.Quantiles(), Lag: p.Lag.Quantiles()}
}

// StalledReport is about the clients that stopped reading.
type StalledReport struct {
	job.Stall
	Lost int64 `json:"lost"` // what they never got, even after they read again
	Wrong
	Notices map[string]int64 `json:"notices"`
	Closes  map[string]int64 `json:"closes,omitempty"`
}

// Wrong is what was wrong with what further clients got.
type Wrong struct {
	Doubled int64 `json:"doubled"`
	Late    int64 `json:"out_of_order"`
	Invalid int64 `json:"invalid"`
}

func wrongOf(t *job.Tally) Wrong { return Wrong{t.Doubled, t.Late, t.Invalid} }

func newStalledReport(t *job.Tally) *StalledReport {
	r := &StalledReport{Lost: t.Lost, Wrong: wrongOf(t), Notices: t.Notices, Closes: t.Closes}
	if t.Stall != nil {
		r.Stall = *t.Stall
	}
	return r
}

// FilteredReport is about the clients that want only a few keys.
type FilteredReport struct {
	Clients int   `json:"clients"`
	Gone    int   `json:"gone"`
	Frames  int64 `json:"frames"`
	Wrong
}

// RawReport is about the baseline's server.
type RawReport struct {
	Messages  int64 `json:"messages"` // that it started to send
	Scheduled int64 `json:"scheduled"`
	Dropped   int64 `json:"dropped"`
	Short     int64 `json:"short"`
}

// fill takes what the readers counted and what the gateway used.
func (g *Run) fill(c *FanoutConfig, t *job.Tally, m *runMetrics) {
	s := c.Duration.Seconds()
	g.Seen.fill(s, c.Procs, t, m.from, m.to)
	g.Offered, g.Counts, g.TapeBytes = float64(t.Due)/s, t.Counts, m.to[scrape.MetricTapes]
	for k, f := range t.Feeds {
		p := g.feedsPublished[k]
		g.Feeds = append(g.Feeds, FeedReport{Name: c.Feeds[k].Name, Counts: f.Counts, Latency: f.Latency.Quantiles(),
			Lag: p.Lag.Quantiles(), late: p.Late.Quantiles().P99})
	}
	g.Latency = t.Latency.Quantiles()
	g.PublisherLag, g.PublisherLate = g.publisher.Lag.Quantiles(), g.publisher.Late.Quantiles()
	g.PublisherBlocked = g.publisher.Blocked
	g.ClientTurns, g.ClientCores, g.ClientReads = t.Turns.Quantiles(), t.CPU/s, float64(t.Reads)/s
	g.PublisherCores = m.own / s
	if t.Early > 0 {
		g.Problems = append(g.Problems, fmt.Sprintf("%d messages came before they were due: the clocks disagree",
			t.Early))
	}
}

func (g *Run) memory(m *runMetrics) {
	g.RSSPerConnection = (m.joined[scrape.MetricRSS] - m.before[scrape.MetricRSS]) / float64(g.Clients)
	g.RSS = m.after[scrape.MetricRSS]
	g.Refused = refusedRecords(m.joined, m.after)
	g.HeapGrowth = m.heapTo[scrape.MetricHeap] - m.heapFrom[scrape.MetricHeap]
	for name := range m.heapTo {
		if strings.HasSuffix(name, "tape_bytes") {
			g.TapeGrowth += m.heapTo[name] - m.heapFrom[name]
		}
	}
}

// Beyond these limits the bench counts as the bottleneck.
const (
	mostPublisherLate = 10.0 // ms, p99: more than that is not the machine's scheduling
	mostClientLag     = 25.0 // ms, p99, if it is also half of the latency
	leastAsleep       = 0.02 // of the window: below it the clients may be the limit,
	keptUp            = 0.99 // unless this share of what was due was delivered in it
)

// judge adds where the bench was the bottleneck, and what was wrong with what was delivered.
func (g *Run) judge(orders bool) {
	problem := func(format string, args ...any) { g.Problems = append(g.Problems, fmt.Sprintf(format, args...)) }
	if g.PublisherLate.P99 > mostPublisherLate {
		problem("the publisher was late: p99 %.1f ms", g.PublisherLate.P99)
	}
	if q := g.ordersPublisher.Late.Quantiles(); orders && q.P99 > mostPublisherLate {
		problem("the publisher of orders was late: p99 %.1f ms", q.P99)
	}
	for _, f := range g.Feeds {
		if f.late > mostPublisherLate {
			problem("the publisher of %s was late: p99 %.1f ms", f.Name, f.late)
		}
	}
	if g.ClientAsleep < leastAsleep && g.Delivered < keptUp*g.Offered {
		problem("the client processes were asleep for only %.1f %% of the window, and less was delivered than was "+
			"due: they may be the limit; give them more cores, or --procs", 100*g.ClientAsleep)
	}
	if g.ClientLag.P99 > mostClientLag && g.Latency.Count > 0 && 2*g.ClientLag.P99 > g.Latency.P99 {
		problem("the client processes were slow to read: p99 %.1f ms, half of the latency or more", g.ClientLag.P99)
	}
	if g.Name != runRawsend { // rawsend drops what a socket refuses, and is not a gateway
		g.judgeDelivery()
	}
}

func (g *Run) judgeDelivery() {
	fault := func(n int64, what string) {
		if n > 0 {
			g.Faults = append(g.Faults, fmt.Sprintf("%d %s", n, what))
		}
	}
	fault(g.Lost, "messages lost"+becauseOf(g.Refused))
	fault(g.Late, "messages out of order")
	fault(g.Doubled, "messages doubled")
	fault(g.Invalid, "invalid frames")
	fault(g.Foreign, "messages of another publisher, or in the wrong room")
	fault(g.Breaks, "breaks of the prev chain")
	fault(int64(g.Gone), "connections lost")
	for _, f := range g.Feeds {
		fault(f.Lost, "messages of "+f.Name+" lost"+becauseOf(g.Refused))
		fault(f.Late, "messages of "+f.Name+" out of order")
		fault(f.Doubled, "messages of "+f.Name+" doubled")
		fault(f.Foreign, "messages of another publisher among "+f.Name)
	}
	wrong := func(w Wrong, clients string) {
		fault(w.Doubled, "messages doubled at "+clients+" clients")
		fault(w.Late, "messages out of order at "+clients+" clients")
		fault(w.Invalid, "invalid frames at "+clients+" clients")
	}
	if s := g.Slow; s != nil {
		wrong(s.Wrong, "slow")
		fault(s.Breaks, "messages that slow clients missed without notice")
	}
	if g.Churn != nil {
		g.Churn.judge(g)
	}
	if g.Storm != nil {
		g.Storm.judge(g)
	}
	if o := g.Orders; o != nil {
		fault(o.Lost, "orders lost"+becauseOf(g.Refused))
		fault(o.Late, "orders out of order")
		fault(o.Doubled, "orders doubled")
		fault(o.Invalid, "invalid frames among the orders")
	}
	if f := g.Filtered; f != nil {
		fault(int64(f.Gone), "filtered clients gone")
		wrong(f.Wrong, "filtered")
	}
	if s := g.Stalled; s != nil {
		wrong(s.Wrong, "stalled")
	}
}

// SlowReport is about the clients that read slowly, over the whole run.
type SlowReport struct {
	Clients int   `json:"clients"`
	Rate    int   `json:"bytes_per_s"` // of each
	Gone    int   `json:"gone"`
	Frames  int64 `json:"frames"`
	Lost    int64 `json:"lost"` // what they never got, because retention dropped it first
	Wrong
	Breaks  int64            `json:"chain_breaks"` // losses without a notice
	Notices map[string]int64 `json:"notices"`
	Closes  map[string]int64 `json:"closes,omitempty"`
}

func newSlowReport(rate int, t *job.Tally) *SlowReport {
	return &SlowReport{Clients: t.Clients, Rate: rate, Gone: t.Gone, Frames: t.Frames, Lost: t.Lost, Wrong: wrongOf(t),
		Breaks: t.Breaks, Notices: t.Notices, Closes: t.Closes}
}
