package resumes

import (
	"cmp"
	"context"
	"io"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// Config has clients go on from a place that memory no longer holds, first alone
// and then beside others that ask for everything, again and again, and some that ask for
// everything and do not read it.
type Config struct {
	Target  bench.Target // Brokers and Topic: where the past is, and is written to
	Room    string       // that the topic feeds, with each of its records. "": trades
	Records int64        // of the past: the topic is filled up to so many. 0: 600,000
	Size    int          // bytes of a value. 0: 400
	Fields  string       // further members of a value

	Count int           // honest clients, each a user of its own, that resume once. 0: 100
	Rate  float64       // of them a second. 0: 5
	Least int64         // records that they lack, from so many. 0: 200
	Most  int64         // to so many. 0: 2,000, or Least where that is more
	Until time.Duration // a client that has not got what it lacks by then has failed. 0: 30 s

	Greedy     int     // clients that ask for everything, each a user of its own
	GreedyRoom string  // with {user}. "": Room
	GreedyRate float64 // requests a second of each at most. 0: 45
	Stalled    int     // clients that ask for everything and do not read it

	// Budget is the gateway's limits.recall_bytes, which the bytes that it reads again
	// are held against. 0: 256 MiB, as its default.
	Budget int64

	// Warm leaves a gateway what it keeps of records that it has read again. Else each run
	// begins when it has forgotten that, which takes half a minute.
	Warm bool

	Runs int       // of each, in turns. 0: 1
	Log  io.Writer // progress, a line each. nil: none

	settle time.Duration // between two runs. 0: 1 s
}

// Names of the runs of a resumes measurement.
const (
	runAlone  = "alone"
	runBeside = "beside greedy ones"
)

// mostResumers bounds the honest and the hostile clients of a run: each has a goroutine,
// each stalled one a process.
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
		return job.Inputf("resumes are about what Kafka has: give --brokers and --topic")
	case c.Target.Foreign() || len(c.Target.Agents.Addrs) > 0 || c.Target.Direct || c.Target.Publish != "":
		return job.Inputf("resumes need a tapecast gateway: leave --protocol, --agents, --direct and --publish out")
	case c.Target.Keys.Token != "":
		return job.Inputf("--token is one user, but each client is to be one of its own: give --secret-file or " +
			"--ed25519-key")
	case c.Count < 1 || c.Count > mostResumers || c.Rate <= 0 || c.Rate > 1000:
		return job.Inputf("--count %d at --rate %v: 1 to %d clients, 1,000 a second at most", c.Count, c.Rate,
			mostResumers)
	case c.Least < 1 || c.Most < c.Least || c.Most > c.Records:
		return job.Inputf("--least %d, --most %d: from 1 on, the first is not more than the second, nor that than "+
			"--records %d",
			c.Least, c.Most, c.Records)
	case c.Greedy < 0 || c.Greedy > mostGreedy || c.Stalled < 0 || c.Stalled > mostStalled:
		return job.Inputf("--greedy %d, --stalled %d: %d and %d at most", c.Greedy, c.Stalled, mostGreedy, mostStalled)
	case c.GreedyRate <= 0 || c.GreedyRate > 1e6 || c.Budget < 1 || c.Runs < 1:
		return job.Inputf("--greedy-rate %v, --budget %d, --runs %d: none of them can be negative",
			c.GreedyRate, c.Budget>>20, c.Runs)
	case c.Size > client.HeadSize/2:
		return job.Inputf("--size %d: %d at most", c.Size, client.HeadSize/2)
	case c.Until < time.Second:
		return job.Inputf("--until %s: one second at least", c.Until)
	}
	if _, err := job.NewValueShape(c.Size, c.Fields); err != nil {
		return job.Inputf("--size: %v", err)
	}
	return c.Target.CheckOneProcess("--greedy", c.Greedy)
}

// hostile reports whether anybody is there beside the honest ones.
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
	Budget   int64              `json:"budget"` // bytes a user and minute
	Runs     []*Run             `json:"legs"`
	Medians  map[string]Medians `json:"medians"` // by the runs' names
	Bars     []bench.AbuseBar   `json:"bars"`
}

// Run is how the honest clients fared once.
type Run struct {
	Name      string           `json:"name"`
	Seconds   float64          `json:"seconds"`
	Succeeded int64            `json:"succeeded"`
	Failed    map[string]int64 `json:"failed,omitempty"`
	NotNow    int64            `json:"not_now"` // times that they were told to ask again later
	Latency   job.Quantiles    `json:"latency"` // from due until it had what it lacked
	Records   int64            `json:"records"` // that they were sent
	Needed    int64            `json:"needed_bytes"`

	// Of the gateway, by how much its counters grew.
	Asked     float64 `json:"asked"` // resumes from further back than memory holds, everybody's
	Read      float64 `json:"read_bytes"`
	Refused   float64 `json:"refused"`
	TakenBack float64 `json:"taken_back"`
	Cores     float64 `json:"gateway_cores"`
	RSSBefore float64 `json:"gateway_rss_before"`
	RSSMost   float64 `json:"gateway_rss_most"` // as far as its own peak or the looks before and after tell
	// Budgets is what all hostile users may have read in that time together.
	Budgets float64 `json:"budgets_bytes"`

	Greedy  *hostile.Tally `json:"greedy_fared,omitempty"`
	Stalled *hostile.Tally `json:"stalled_fared,omitempty"`
}

// Measure runs the measurement. The result may come with an error: a FaultError where
// an honest client did not get what it lacked, an InvalidError where the gateway had it
// in memory, so that nothing was read again.
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
		if err := new(bench.AbuseConfig).CheckAddress(e); err != nil {
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
			if err != nil {
				return res, err
			}
			res.Runs = append(res.Runs, run)
		}
	}
	res.judge()
	return res, res.verdict()
}

// verdict says why the run does not count; nil: it does.
func (r *Result) verdict() error {
	for _, g := range r.Runs {
		if n := int64(r.Count) - g.Succeeded; n > 0 {
			return job.Faultf("%d of %d honest clients did not get what they lacked, %s: %s",
				n, r.Count, g.Name, text.Counts(g.Failed))
		}
	}
	for _, g := range r.Runs {
		if g.Asked < float64(r.Count) {
			return job.Invalidf("only %.0f of %d resumes went further back than the gateway's memory: "+
				"give a larger --least, or its class a shorter retain", g.Asked, r.Count)
		}
	}
	return nil
}
