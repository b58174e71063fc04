package resumes

import (
	"context"
	"fmt"
	"math"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
	"tapecast/bench/publish"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// Metrics about what a gateway reads again.
const (
	metricRecallAsked   = "tapecast_recall_asked_total"
	metricRecallBytes   = "tapecast_recall_bytes_total"
	metricRecallKept    = "tapecast_recall_kept_bytes"
	metricRecallRefused = "tapecast_recall_refused_total"
	metricRecallTaken   = "tapecast_recall_taken_back_total"
	metricRecallWindows = "tapecast_recall_windows_total"
)

// resumesRun is a measurement under way. One goroutine uses it.
type resumesRun struct {
	cfg     Config
	end     bench.Endpoint
	scraper *scrape.Scraper
	peer    *client.Dialer
	sign    job.Signer
	head    positions // of the room, when the topic is filled
	users   int       // honest clients so far; each is a user of its own
}

// prepare fills the topic, and waits until the gateway has read it and no longer holds it.
func (r *resumesRun) prepare(ctx context.Context) error {
	var err error
	if r.peer, err = client.New(client.Job{Endpoint: r.end.Endpoint}); err != nil {
		return err
	}
	r.sign = job.NewSigner(r.cfg.Target.Keys)
	if _, err := r.scraper.Scrape(ctx); err != nil {
		return err
	}
	if r.head, err = r.positions(ctx); err != nil {
		return err
	}
	if more := r.cfg.Records - r.head.records(); more > 0 {
		if err := r.fill(ctx, more); err != nil {
			return err
		}
	}
	return r.untilForgotten(ctx)
}

// positions returns the gateway's positions of the room at a join.
func (r *resumesRun) positions(ctx context.Context) (positions, error) {
	token, err := r.sign.Sign("resumes-look")
	if err != nil {
		return positions{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
	defer cancel()
	c, err := r.peer.Connect(ctx, 0, token)
	if err != nil {
		return positions{}, job.Inputf("cannot connect to %s: %s", r.end.Addr, job.RootOf(err))
	}
	m, err := c.Ask(1, proto.JoinRequest, r.cfg.Room)
	switch {
	case err != nil:
		return positions{}, err
	case m.Error != nil && m.Error.Code == proto.AuthFailed:
		return positions{}, job.Inputf("refused: %s (%d)%s", m.Error.Message, m.Error.Code, proto.SeeToken)
	case m.Error != nil || len(m.Result.Rooms) != 1 || m.Result.Rooms[0].Positions == nil:
		return positions{}, job.Inputf("cannot join %q: %.200s", r.cfg.Room, proto.JSON(m))
	}
	at, err := parsePositions(m.Result.Rooms[0].Positions)
	if err != nil {
		return positions{}, job.Inputf("cannot join %q: %v", r.cfg.Room, err)
	}
	return at, nil
}

// readPatience is how long a gateway may take to read what was written, and to drop it.
const readPatience = 2 * time.Minute

// fill writes more records, and waits until the gateway has read them.
func (r *resumesRun) fill(ctx context.Context, more int64) error {
	c := &r.cfg
	c.Target.WarnCompacted(ctx, c.Target.Topic)
	text.LogLine(c.Log, "writing %s records to %s", text.Count(more), c.Target.Topic)
	shape, err := job.NewValueShape(c.Size, c.Fields)
	if err != nil {
		return job.Inputf("--size: %v", err)
	}
	to, err := publish.NewKafka(c.Target.Brokers, c.Target.Topic)
	if err != nil {
		return err
	}
	var value []byte
	at := machine.Anchor()
	for n := int64(0); n < more && ctx.Err() == nil && err == nil; n++ {
		value = shape.Make(value[:0], machine.MonotonicIn(0)+at, n)
		err = to.Put("", []byte(job.KeyName(n%64)), value)
	}
	closing, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	if taken, cerr := to.Close(closing); err == nil && cerr == nil && taken < more {
		err = fmt.Errorf("only %d of %d records could be written to %q", taken, more, c.Target.Topic)
	} else if err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	inTime, err := machine.Until(ctx, readPatience, 200*time.Millisecond, func() (_ bool, err error) {
		r.head, err = r.positions(ctx)
		return r.head.records() >= c.Records, err
	})
	if err == nil && !inTime {
		err = job.Inputf("the gateway has read only %d of %d records for %q: does %q feed it, with each record?",
			r.head.records(), c.Records, c.Room, c.Target.Topic)
	}
	return err
}

// untilForgotten waits until a client that lacks the least makes the gateway read Kafka.
func (r *resumesRun) untilForgotten(ctx context.Context) error {
	text.LogLine(r.cfg.Log, "waiting until the gateway no longer holds the last %s records", text.Count(r.cfg.Least))
	var x *resumers // the last one that tried
	inTime, err := machine.Until(ctx, readPatience, 500*time.Millisecond, func() (bool, error) {
		before, err := r.scraper.MidRun(ctx)
		if err != nil {
			return false, err
		}
		x = r.honest()
		least := func(int) int64 { return r.cfg.Least }
		if err := x.come(ctx, machine.MonotonicIn(0), r.users, 1, 1, least); err != nil {
			return false, err
		}
		r.users++
		after, err := r.scraper.MidRun(ctx)
		return after[metricRecallAsked] > before[metricRecallAsked], err
	})
	switch {
	case err != nil || inTime:
		return err
	case x.ok == 0:
		return job.Inputf("no client can resume %d records before the end of %q: %s", r.cfg.Least, r.cfg.Room,
			text.Counts(x.failed))
	}
	return job.Inputf("after %s the gateway still has the last %d records of %q in memory: "+
		"raise --least, or shorten the retain of the room's class", readPatience, r.cfg.Least, r.cfg.Room)
}

func (r *resumesRun) honest() *resumers {
	return &resumers{
		peer: r.peer, sign: r.sign, room: r.cfg.Room, head: r.head, until: r.cfg.Until,
		latency: job.NewHist(), failed: map[string]int64{},
	}
}

// lacks returns how many records honest client n is behind. The numbers are spread from the
// least to the most, with neighbours far apart, and are the same in each run.
func (c *Config) lacks(n int) int64 {
	const golden = 0.6180339887498949
	return c.Least + int64(math.Mod(float64(n)*golden, 1)*float64(c.Most-c.Least+1))
}

func (r *resumesRun) run(ctx context.Context, name string) (*Run, error) {
	if err := r.untilDropped(ctx); err != nil {
		return nil, err
	}
	before, err := r.scraper.MidRun(ctx)
	if err != nil {
		return nil, err
	}
	run := &Run{Name: name, RSSBefore: before[scrape.MetricRSS]}
	began := machine.MonotonicIn(0)
	var others *greedyOnes
	if name == runBeside {
		if others, err = r.startGreedy(ctx); err != nil {
			return nil, err
		}
		defer others.stop()
		if err := r.untilServed(ctx, before); err != nil {
			return nil, err
		}
	}
	x := r.honest()
	if err := x.come(ctx, machine.MonotonicIn(100*time.Millisecond), r.users, r.cfg.Count, r.cfg.Rate,
		r.cfg.lacks); err != nil {
		return nil, err
	}
	r.users += r.cfg.Count
	after, err := r.scraper.MidRun(ctx)
	if err != nil {
		return nil, err
	}
	run.Seconds = float64(machine.MonotonicIn(0)-began) / 1e9
	run.fill(x, before, after)
	if others != nil {
		users := float64(r.cfg.Greedy + r.cfg.Stalled)
		run.Budgets = users * float64(r.cfg.Budget) * (1 + run.Seconds/60) // at once, and with time
		if run.Greedy, run.Stalled, err = others.tallies(); err != nil {
			return nil, err
		}
	}
	return run, machine.Pause(ctx, r.cfg.settle)
}

func (g *Run) fill(x *resumers, before, after scrape.Metrics) {
	grew := func(name string) float64 { return after.Sum(name) - before.Sum(name) }
	g.Succeeded, g.Failed, g.NotNow = x.ok, x.failed, x.out.notNow
	g.Latency, g.Records, g.Needed = x.latency.Quantiles(), x.out.records, x.out.bytes
	g.Asked, g.Read = grew(metricRecallAsked), grew(metricRecallBytes)
	g.Refused, g.TakenBack = grew(metricRecallRefused), grew(metricRecallTaken)
	g.Cores = grew(scrape.MetricCPU) / g.Seconds
	g.RSSMost = scrape.MostRSS(before, after)
}

// untilDropped waits until the gateway has dropped what it read again before. It waits a
// minute at most, since other clients may resume meanwhile.
func (r *resumesRun) untilDropped(ctx context.Context) error {
	if r.cfg.Warm {
		return nil
	}
	_, err := machine.Until(ctx, time.Minute, 200*time.Millisecond, func() (bool, error) {
		m, err := r.scraper.MidRun(ctx)
		return m[metricRecallKept] == 0, err
	})
	return err
}

// untilServed waits until the gateway reads for the clients that ask for everything.
func (r *resumesRun) untilServed(ctx context.Context, before scrape.Metrics) error {
	inTime, err := machine.Until(ctx, hostile.AnswerPatience, 20*time.Millisecond, func() (bool, error) {
		m, err := r.scraper.MidRun(ctx)
		return m[metricRecallWindows] > before[metricRecallWindows], err
	})
	if err == nil && !inTime {
		err = job.Inputf("clients that ask for all of %q get nothing: does Kafka still have its beginning?", r.cfg.Room)
	}
	return err
}
