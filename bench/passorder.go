package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/publish"
	"tapecast/bench/text"
)

// PassOrderConfig measures in which order the members of a room get a message.
type PassOrderConfig struct {
	Target   Target
	Clients  int
	Room     string
	Rate     float64 // low: all must have a message before the next is due
	Messages int64
	Size     int
	Bare     bool
	Log      io.Writer // progress, a line each. nil: none
}

// PassOrderResult is what PassOrder measured, by the kernel's receive times at the sockets.
type PassOrderResult struct {
	Scenario    string     `json:"scenario"`
	Clients     int        `json:"clients"`
	Messages    int64      `json:"messages"`
	Overlapping int64      `json:"overlapping"` // left out, because the one before was still under way
	First       OrderPlace `json:"first"`
	Last        OrderPlace `json:"last"`
	// LeastMean and MostMean are the extremes of the clients' mean ranks, from 0 for always
	// first to 1 for always last. Deviation is what to expect by chance.
	LeastMean float64       `json:"least_mean_place"`
	MostMean  float64       `json:"most_mean_place"`
	Deviation float64       `json:"mean_place_deviation"`
	Spread    job.Quantiles `json:"spread"` // from the first client's arrival to the last one's
}

// OrderPlace compares with chance how often each client was first, or last.
type OrderPlace struct {
	ChiSquare float64 `json:"chi_square"`
	P         float64 `json:"p"`    // probability of such a deviation or a greater one by chance
	Most      int64   `json:"most"` // the count of the client with the most
	MostP     float64 `json:"most_p"`
	Client    int     `json:"client"`
}

// leastP is the probability below which a deviation does not count as chance.
const leastP = 0.001

// PassOrder runs the measurement.
func PassOrder(ctx context.Context, cfg PassOrderConfig) (*PassOrderResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e, err := cfg.Target.Resolve(ctx)
	if err == nil {
		err = cfg.Target.checkPublishing(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	shape, err := job.NewValueShape(cfg.Size, "")
	if err != nil {
		return nil, job.Inputf("--size: %v", err)
	}
	total := cfg.Messages + warmMessages
	j := cfg.Target.Job(e)
	j.Clients, j.Rooms, j.Size, j.Bare, j.Stamp, j.Arrivals = cfg.Clients, []string{cfg.Room}, cfg.Size, cfg.Bare, true,
		total
	workers, err := pool.Start(ctx, j, 1)
	if err != nil {
		return nil, err
	}
	defer workers.Stop()
	if _, err := Join(ctx, workers, cfg.Clients); err != nil {
		return nil, err
	}
	text.LogLine(cfg.Log, "%d clients joined; %d messages take %.0f s", cfg.Clients, total, float64(total)/cfg.Rate)
	p := job.Timing{Anchor: machine.Anchor()}
	p.Warm = warmMessages
	if p.Schedule, err = job.NewSchedule(machine.MonotonicIn(leadTime)+p.Anchor, cfg.Rate); err != nil {
		return nil, job.Inputf("--rate: %v", err)
	}
	p.From, p.To = p.Schedule.Start, p.Schedule.Due(total)
	if err := workers.Run(p); err != nil {
		return nil, err
	}
	to, err := cfg.Target.sink(ctx, e, cfg.Target.Topic)
	if err != nil {
		return nil, err
	}
	pub := publish.Publication{
		Schedule: p.Schedule, Anchor: p.Anchor, Total: total, Shape: shape,
		Assignment: job.Assignment{Rooms: []string{cfg.Room}},
	}
	if _, err := pub.Publish(ctx, to); err != nil {
		return nil, err
	}
	t, _, err := workers.Finish(total, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return cfg.result(t)
}

// warmMessages are not evaluated: caches are cold in the gateway's first passes.
const warmMessages = 10

func (c *PassOrderConfig) check() error {
	const most = 100_000_000 // arrival times, 8 bytes each
	switch {
	case c.Clients < 2:
		return job.Inputf("--clients %d: at least two are needed", c.Clients)
	case c.Messages < 5*int64(c.Clients):
		return job.Inputf("--messages %d: at least five for each of %d clients are needed to tell a deviation from "+
			"chance: %d", c.Messages, c.Clients, 5*c.Clients)
	case c.Messages*int64(c.Clients) > most:
		return job.Inputf("--messages %d × --clients %d: more than %d arrival times", c.Messages, c.Clients, most)
	}
	return c.Target.CheckOneProcess("--clients", c.Clients)
}

func (c *PassOrderConfig) result(t *job.Tally) (*PassOrderResult, error) {
	p := t.Places
	if p == nil {
		return nil, fmt.Errorf("the clients recorded no arrival times")
	}
	if t.Lost+t.Late+t.Doubled+t.Invalid > 0 {
		return nil, job.Faultf("lost %d, out of order %d, doubled %d, invalid %d: the order cannot be measured", t.Lost,
			t.Late, t.Doubled, t.Invalid)
	}
	r := &PassOrderResult{
		Scenario: "passorder", Clients: c.Clients, Messages: p.Messages, Overlapping: p.Overlapping,
		First: placeOf(p.First, p.Messages), Last: placeOf(p.Last, p.Messages),
		LeastMean: slices.Min(p.Mean), MostMean: slices.Max(p.Mean), Spread: p.Spread.Quantiles(),
	}
	if p.Messages > 0 {
		r.Deviation = 1 / math.Sqrt(12*float64(p.Messages)) // a rank, even between 0 and 1, deviates by 1/√12
	}
	switch {
	case p.Overlapping > p.Messages/10:
		return r, job.Invalidf("only %d messages came after all clients had the one before, %d came earlier: "+
			"lower --rate", p.Messages, p.Overlapping)
	case min(r.First.P, r.First.MostP) < leastP:
		return r, job.Faultf("client %d was first %d times in %d: more often than by chance (p %.2g)", r.First.Client,
			r.First.Most, p.Messages, min(r.First.P, r.First.MostP))
	case min(r.Last.P, r.Last.MostP) < leastP:
		return r, job.Faultf("client %d was last %d times in %d: more often than by chance (p %.2g)", r.Last.Client,
			r.Last.Most, p.Messages, min(r.Last.P, r.Last.MostP))
	}
	return r, nil
}

func placeOf(counts []int64, total int64) OrderPlace {
	var o OrderPlace
	o.ChiSquare, o.P = chiSquare(counts)
	o.Most = slices.Max(counts)
	o.Client = slices.Index(counts, o.Most)
	o.MostP = mostByChance(o.Most, total, len(counts))
	return o
}

// WriteText writes the result as a table.
func (r *PassOrderResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("passorder · %s messages to %s clients, by the kernel's receive times", text.Count(r.Messages),
		text.Count(int64(r.Clients)))
	row := func(name string, o OrderPlace) {
		t.Row(name, "at most %d times one client (%.1f expected, p %.3g) · chi-square %.1f with %d degrees, p %.3g",
			o.Most, float64(r.Messages)/float64(r.Clients), o.MostP, o.ChiSquare, r.Clients-1, o.P)
	}
	row("first", r.First)
	row("last", r.Last)
	t.Row("mean rank", "%.3f to %.3f (0.5 ± %.3f by chance)", r.LeastMean, r.MostMean, r.Deviation)
	t.Row("first to last", "%s", r.Spread)
	if r.Overlapping > 0 {
		t.Row("left out", "%d messages that came before all clients had the one before", r.Overlapping)
	}
	return t.Write(w)
}

// chiSquare compares counts with equal shares of their sum. p is the probability of a
// deviation this great or greater by chance alone (Pearson's test).
func chiSquare(counts []int64) (x2, p float64) {
	var total int64
	for _, c := range counts {
		total += c
	}
	if len(counts) < 2 || total == 0 {
		return 0, 1
	}
	seen, expected := make([]float64, len(counts)), make([]float64, len(counts))
	for i, c := range counts {
		seen[i], expected[i] = float64(c), float64(total)/float64(len(counts))
	}
	x2 = stat.ChiSquare(seen, expected)
	return x2, distuv.ChiSquared{K: float64(len(counts) - 1)}.Survival(x2)
}

// mostByChance returns an upper bound (Bonferroni) of a probability: that of so many
// clients some client wins at least most of total random draws.
func mostByChance(most, total int64, clients int) float64 {
	if most <= 0 {
		return 1
	}
	one := distuv.Binomial{N: float64(total), P: 1 / float64(clients)}
	return math.Min(1, float64(clients)*one.Survival(float64(most-1)))
}
