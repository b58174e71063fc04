package resumes

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// Config makes clients resume from positions that memory no longer holds, first alone, then
// beside clients that ask for everything repeatedly or do not read it.
type Config struct {
	Target  bench.Target // its Brokers and Topic hold the past, and the bench writes to them
	Room    string       // fed by the topic, with each of its records. "": trades
	Records int64        // the topic is filled up to this number. 0: 600,000
	Size    int          // bytes of a value. 0: 400
	Fields  string       // further members of a value

	Count int           // honest clients, each a user of its own, that resume once. 0: 100
	Rate  float64       // clients that come per second. 0: 5
	Least int64         // the fewest records that a client lacks. 0: 200
	Most  int64         // the most. 0: 2,000, or Least if that is more
	Until time.Duration // longest time in which a client may get what it lacks. 0: 30 s

	Greedy     int     // clients that ask for everything, each a user of its own
	GreedyRoom string  // with {user}. "": Room
	GreedyRate float64 // most requests a second of each. 0: 45
	Stalled    int     // clients that ask for everything and do not read it

	// Budget is the gateway's limits.recall_bytes. The bytes that it reads again are compared
	// with it. 0: 256 MiB, the gateway's default.
	Budget int64

	// Warm leaves the gateway the records that it has read again. Without it each run starts
	// when the gateway has dropped them, which takes half a minute.
	Warm bool

	Runs int       // of each kind, in turns. 0: 1
	Log  io.Writer // progress, a line each. nil: none

	settle time.Duration // between two runs. 0: 1 s
}

// Names of the runs.
const (
	runAlone  = "alone"
	runBeside = "beside greedy ones"
)

// mostResumers bounds the honest clients of a run, each with a goroutine. The others bound
// the hostile ones. Each stalled client has a process.
const (
	mostResumers = 10_000
	mostGreedy   = 1_000
	mostStalled  = 16
)

func (c *Config) check() error {
	c.Room = cmp.Or(c.Room, "trades")
	c.GreedyRoom = cmp.Or(c.GreedyRoom, c.Room)
	c.Records, c.Size = cmp.Or(c.Records, 600_000), cmp.Or(c.Size, 400)
	c.Count, c.Rate = cmp.Or(c.Count, 100), cmp.Or(c.Rate, 5)
	c.Least = cmp.Or(c.Least, 200)
	c.Most = cmp.Or(c.Most, max(2000, c.Least))
	c.Until, c.settle = cmp.Or(c.Until, 30*time.Second), cmp.Or(c.settle, time.Second)
	c.GreedyRate = cmp.Or(c.GreedyRate, bench.DefaultHostileRate)
	c.Budget, c.Runs = cmp.Or(c.Budget, 256<<20), cmp.Or(c.Runs, 1)
	switch {
	case len(c.Target.Brokers) == 0 || c.Target.Topic == "":
		return job.Inputf("resumes need Kafka: give --brokers and --topic")
	case c.Target.Foreign() || len(c.Target.Agents.Addrs) > 0 || c.Target.Direct || c.Target.Publish != "":
		return job.Inputf("resumes need a tapecast gateway: leave --protocol, --agents, --direct and --publish out")
	case c.Target.Keys.Token != "":
		return job.Inputf("--token is one user, but each client must be a user of its own: give --secret-file or " +
			"--ed25519-key")
	case c.Count < 1 || c.Count > mostResumers || c.Rate <= 0 || c.Rate > 1000:
		return job.Inputf("--count %d at --rate %v: give 1 to %d clients, and at most 1,000 a second", c.Count, c.Rate,
			mostResumers)
	case c.Least < 1 || c.Most < c.Least || c.Most > c.Records:
		return job.Inputf("--least %d, --most %d, --records %d: each must be at least 1, and no more than the next",
			c.Least, c.Most, c.Records)
	case c.Greedy < 0 || c.Greedy > mostGreedy || c.Stalled < 0 || c.Stalled > mostStalled:
		return job.Inputf("--greedy %d, --stalled %d: at most %d and %d", c.Greedy, c.Stalled, mostGreedy, mostStalled)
	case c.GreedyRate <= 0 || c.GreedyRate > 1e6 || c.Budget < 1 || c.Runs < 1:
		return job.Inputf("--greedy-rate %v, --budget %d, --runs %d: none of them can be negative",
			c.GreedyRate, c.Budget>>20, c.Runs)
	case c.Size > client.HeadSize/2:
		return job.Inputf("--size %d: at most %d", c.Size, client.HeadSize/2)
	case c.Until < time.Second:
		return job.Inputf("--until %s: at least one second", c.Until)
	}
	if _, err := job.NewValueShape(c.Size, c.Fields); err != nil {
		return job.Inputf("--size: %v", err)
	}
	return c.Target.CheckOneProcess("--greedy", c.Greedy)
}

func (c *Config) hostile() bool { return c.Greedy+c.Stalled > 0 }

// Result is what Resumes measured. Its JSON is for scripts.
type Result struct {
	Scenario string             `json:"scenario"`
	Room     string             `json:"room"`
	Records  int64              `json:"records"` // of the topic
	Size     int                `json:"size"`
	Count    int                `json:"count"`
	Rate     float64            `json:"rate"`
	Least    int64              `json:"least"`
	Most     int64              `json:"most"`
	Greedy   int                `json:"greedy"`
	Stalled  int                `json:"stalled"`
	Budget   int64              `json:"budget"` // bytes for each user and minute
	Runs     []*Run             `json:"legs"`
	Medians  map[string]Medians `json:"medians"` // by the runs' names
	Bars     []bench.AbuseBar   `json:"bars"`
}

// Run is the result of the honest clients in one run.
type Run struct {
	Name      string           `json:"name"`
	Seconds   float64          `json:"seconds"`
	Succeeded int64            `json:"succeeded"`
	Failed    map[string]int64 `json:"failed,omitempty"`
	NotNow    int64            `json:"not_now"` // times that a client was told to ask again later
	Latency   job.Quantiles    `json:"latency"` // from due until a client had what it lacked
	Records   int64            `json:"records"` // records that they were sent
	Needed    int64            `json:"needed_bytes"`

	// Growth of the gateway's counters.
	Asked     float64 `json:"asked"` // resumes from further back than memory holds, of all clients
	Read      float64 `json:"read_bytes"`
	Refused   float64 `json:"refused"`
	TakenBack float64 `json:"taken_back"`
	Cores     float64 `json:"gateway_cores"`
	RSSBefore float64 `json:"gateway_rss_before"`
	RSSMost   float64 `json:"gateway_rss_most"` // its own peak, or the higher of the looks before and after
	// Budgets is what all hostile users together were allowed to read in that time.
	Budgets float64 `json:"budgets_bytes"`

	Greedy  *hostile.Tally `json:"greedy_fared,omitempty"`
	Stalled *hostile.Tally `json:"stalled_fared,omitempty"`
}

// Measure runs the measurement. The result may come with an error. A FaultError means that
// an honest client did not get what it lacked. An InvalidError means that the gateway had it
// in memory, so nothing was read again.
func Measure(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := cfg.Target.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.hostile() {
		if err := bench.CheckAddress(e); err != nil {
			return nil, err
		}
	}
	r := resumesRun{cfg: cfg, end: e, scraper: scrape.New(e.Admin)}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	res := &Result{
		Scenario: "resumes", Room: cfg.Room, Records: r.head.records(), Size: cfg.Size, Count: cfg.Count,
		Rate:  cfg.Rate,
		Least: cfg.Least, Most: cfg.Most, Greedy: cfg.Greedy, Stalled: cfg.Stalled, Budget: cfg.Budget,
	}
	for k := range cfg.Runs {
		for _, name := range []string{runAlone, runBeside} {
			if name == runBeside && !cfg.hostile() {
				continue
			}
			text.LogLine(cfg.Log, "run %d of %d, %s", k+1, cfg.Runs, name)
			run, err := r.run(ctx, name)
			if err != nil && len(res.Runs) == 0 {
				return nil, err
			} else if err != nil {
				return res, err
			}
			res.Runs = append(res.Runs, run)
		}
	}
	res.judge()
	return res, res.verdict()
}

// verdict returns why the run does not count; nil: it counts.
func (r *Result) verdict() error {
	for _, g := range r.Runs {
		if n := int64(r.Count) - g.Succeeded; n > 0 {
			return job.Faultf("%d of %d honest clients did not get what they lacked, %s: %s",
				n, r.Count, g.Name, text.Counts(g.Failed))
		}
	}
	for _, g := range r.Runs {
		if g.Asked < float64(r.Count) {
			return job.Invalidf("only %.0f of %d resumes started before what the gateway has in memory: "+
				"raise --least, or shorten the retain of the room's class", g.Asked, r.Count)
		}
	}
	return nil
}

// Medians are the medians of several runs.
type Medians struct {
	Runs int     `json:"runs"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Read float64 `json:"read_bytes"`
}

// The demands on a gateway whose clients resume.
const (
	mostResumesTimes = 3 // the p99 beside greedy clients, relative to the p99 without
	mostResumesRead  = 3 // the bytes read, relative to those needed; the greedy clients' budgets come on top
)

func (r *Result) judge() {
	r.Medians = map[string]Medians{}
	for _, name := range []string{runAlone, runBeside} {
		runs := slices.DeleteFunc(slices.Clone(r.Runs), func(g *Run) bool { return g.Name != name })
		if len(runs) == 0 {
			continue
		}
		of := func(f func(*Run) float64) float64 { return text.MedianOf(runs, f) }
		r.Medians[name] = Medians{
			Runs: len(runs),
			P50:  of(func(g *Run) float64 { return g.Latency.P50 }),
			P99:  of(func(g *Run) float64 { return g.Latency.P99 }),
			Max:  of(func(g *Run) float64 { return g.Latency.Max }),
			Read: of(func(g *Run) float64 { return g.Read }),
		}
		least := slices.MinFunc(runs, func(a, b *Run) int { return cmp.Compare(a.Succeeded, b.Succeeded) }).Succeeded
		r.Bars = append(r.Bars, bench.AbuseBar{
			What: "resumes that succeeded, " + name, Got: text.Count(least), Bar: text.Count(int64(r.Count)),
			Met: least >= int64(r.Count),
		})
	}
	if alone, beside := r.Medians[runAlone], r.Medians[runBeside]; beside.Runs > 0 {
		most := mostResumesTimes * alone.P99
		r.Bars = append(r.Bars, bench.AbuseBar{
			What: "their p99 beside greedy ones", Bar: "at most " + job.MS(most), Met: beside.P99 <= most,
			Got: fmt.Sprintf("%s, %.2f times that alone", job.MS(beside.P99), beside.P99/alone.P99),
		})
	}
	for _, name := range []string{runAlone, runBeside} {
		r.judgeRead(name)
	}
}

// judgeRead judges the bytes that were read again, in the worst run.
func (r *Result) judgeRead(name string) {
	var worst *Run
	for _, g := range r.Runs {
		if g.Name == name && (worst == nil || g.Read/g.mayRead() > worst.Read/worst.mayRead()) {
			worst = g
		}
	}
	if worst == nil {
		return
	}
	bar := fmt.Sprintf("at most %s, %d times what they need", text.Size(worst.mayRead()), mostResumesRead)
	if worst.Budgets > 0 {
		bar += " and the greedy ones' budgets"
	}
	r.Bars = append(r.Bars, bench.AbuseBar{
		What: "bytes read again, " + name, Got: text.Size(worst.Read), Bar: bar, Met: worst.Read <= worst.mayRead(),
	})
}

func (g *Run) mayRead() float64 { return max(1, mostResumesRead*float64(g.Needed)+g.Budgets) }

// WriteText writes the result as a table.
func (r *Result) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("resumes · %s clients, %s a second, that lack %s to %s of %s records · %s · %d greedy, %d stalled",
		text.Count(int64(r.Count)), text.Number(r.Rate), text.Count(r.Least), text.Count(r.Most), text.Count(r.Records),
		r.Room,
		r.Greedy, r.Stalled)
	for k, g := range r.Runs {
		t.Line("")
		t.Line("run %d, %s", k+1, g.Name)
		g.table(t)
	}
	t.Line("")
	t.Line("medians")
	for _, name := range []string{runAlone, runBeside} {
		if m := r.Medians[name]; m.Runs > 0 {
			t.Row(name, "p50 %s p99 %s max %s · %s read again (%d)",
				job.MS(m.P50), job.MS(m.P99), job.MS(m.Max), text.Size(m.Read), m.Runs)
		}
	}
	for _, b := range r.Bars {
		t.Row(map[bool]string{true: "met", false: "MISSED"}[b.Met], "%s: %s (%s)", b.What, b.Got, b.Bar)
	}
	return t.Write(w)
}

func (g *Run) table(t *text.Table) {
	t.Row("resumes", "%s succeeded · failed: %s · told to ask again later %s times",
		text.Count(g.Succeeded), text.Counts(g.Failed), text.Count(g.NotNow))
	t.Row("latency", "%s", g.Latency)
	t.Row("needed", "%s records, %s", text.Count(g.Records), text.Size(float64(g.Needed)))
	t.Row("read again", "%s · %s resumes asked for it, %s were refused · parts taken back: %s",
		text.Size(g.Read), text.Count(int64(g.Asked)), text.Count(int64(g.Refused)), text.Count(int64(g.TakenBack)))
	t.Row("gateway", "%.2f cores over %s s · %s resident before, %s at most",
		g.Cores, text.Number(g.Seconds), text.Size(g.RSSBefore), text.Size(g.RSSMost))
	for _, x := range []struct {
		name  string
		fared *hostile.Tally
	}{{"greedy", g.Greedy}, {"stalled", g.Stalled}} {
		if x.fared == nil {
			continue
		}
		t.Row(x.name, "%s opened · %s answers, errors among them: %s · %s read · closed: %s",
			text.Count(x.fared.Opened), text.Count(x.fared.Answers), text.Counts(x.fared.Errors),
			text.Size(float64(x.fared.Read)), text.Counts(x.fared.Closes))
	}
}
