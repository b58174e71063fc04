package bench

import (
	"context"
	"strings"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
	"tapecast/bench/publish"
)

func (c *FanoutConfig) groups() int { return (c.Clients + c.Group - 1) / max(c.Group, 1) }

// assignments returns the assignment of each feed, the main one first.
func (c *FanoutConfig) assignments() []job.Assignment {
	main := job.Assignment{Streams: int64(len(c.Rooms) * c.Keys), Rooms: c.Rooms}
	if c.Group > 0 {
		main.Streams, main.Each = int64(c.groups()), 1
	}
	if r := c.recorded; r != nil {
		main.Round, main.Streams = &r.Round, int64(len(r.Keys))
	}
	all := []job.Assignment{main}
	for _, f := range c.Feeds {
		d := job.Assignment{Streams: int64(f.Streams), Each: f.Each, Zipf: f.Zipf, Rooms: []string{f.Room}}
		if strings.Contains(f.Room, "{user}") {
			d.Streams, d.Each = int64(c.Clients), 1
		}
		all = append(all, d)
	}
	return all
}

func (f *Feed) check(c *FanoutConfig) error {
	keyed := strings.Contains(f.Room, "{key}")
	switch s, err := job.NewSchedule(0, f.Rate); {
	case err != nil:
		return job.Inputf("the rate of %s: %v", f.Name, err)
	case s.Before(int64(c.Warmup+c.Duration)) > job.FeedSpan:
		return job.Inputf("%s: more messages than the %d that one of several feeds may have", f.Name, job.FeedSpan)
	case keyed && (f.Streams < 1 || f.Each < 1 || f.Each > f.Streams):
		return job.Inputf("%s: a client can't join %d of %d rooms", f.Name, f.Each, f.Streams)
	case f.Zipf < 0 || f.Zipf > 3:
		return job.Inputf("%s: a Zipf exponent of %v is out of range (0 to 3)", f.Name, f.Zipf)
	case !c.Target.Direct && f.Topic == "":
		return job.Inputf("%s over Kafka needs a topic, whose records are routed by their key", f.Name)
	}
	return nil
}

// clientsJob returns a job with the clients, but not with what they read.
func (c *FanoutConfig) clientsJob(e Endpoint) job.Job {
	j := c.Target.Job(e)
	j.Clients, j.Deflate, j.InFlight, j.Pace, j.RcvBuf = c.Clients, c.Deflate, c.InFlight, c.Pace, c.RcvBuf
	return j
}

// job returns the readers' job.
func (r *fanoutRun) job(e Endpoint) job.Job {
	c := r.cfg
	j := c.clientsJob(e)
	j.Rooms, j.Auto, j.Assignments = c.Rooms, c.AutoJoin, c.assignments()
	j.Size, j.Fields, j.Bare, j.Check, j.Wrapped = c.Size, c.Fields, c.Bare, c.Check, c.Template != ""
	if c.recorded != nil {
		j.Size = c.recorded.longest
	}
	j.Resume = c.Storm != nil && c.Storm.Resume || c.Churn != nil && c.Churn.Resume
	if c.AutoJoin {
		j.Rooms = nil
	}
	for _, f := range c.Feeds {
		if !f.Joined || !c.AutoJoin {
			j.Rooms = append(j.Rooms[:len(j.Rooms):len(j.Rooms)], f.Room)
		}
	}
	return j
}

func (c *FanoutConfig) schedule(start int64) (job.Schedule, error) {
	if r := c.recorded; r != nil && r.Due != nil {
		s := job.Schedule{Start: start}
		s.Follow(&r.Round)
		return s, nil
	}
	return job.NewSchedule(start, c.Rate)
}

func (c *FanoutConfig) shape() (job.ValueShape, error) {
	if c.recorded != nil {
		return job.NewStampShape(c.recorded.values), nil
	}
	return job.NewValueShape(c.Size, c.Fields)
}

// timing returns when everything is due, and prepares the publication of each feed.
func (r *fanoutRun) timing() (job.Timing, error) {
	c := r.cfg
	p := job.Timing{Anchor: machine.Anchor()}
	start := machine.MonotonicIn(leadTime) + p.Anchor
	p.From = start + int64(c.Warmup)
	p.To = p.From + int64(c.Duration)
	shape, err := c.shape()
	if err != nil {
		return p, err
	}
	wrap, err := job.ParseTemplate(c.Template)
	if err != nil {
		return p, err
	}
	r.pubs = nil
	for k, d := range c.assignments() {
		s, err := c.schedule(start)
		if k > 0 {
			s, err = job.NewSchedule(start, c.Feeds[k-1].Rate)
		}
		if err != nil {
			return p, job.Inputf("--rate: %v", err)
		}
		one := job.FeedTiming{Schedule: s, Warm: s.Before(p.From - 1), Total: s.Before(p.To - 1)}
		if k == 0 {
			p.FeedTiming = one
		} else {
			p.More = append(p.More, one)
		}
		r.pubs = append(r.pubs, publish.Publication{
			Schedule: s, Anchor: p.Anchor, Total: one.Total, Base: int64(k) * job.FeedSpan, Shape: shape, Assignment: d,
			Template: wrap,
		})
	}
	return p, nil
}

// orderSize is the size of a message to a single user.
const orderSize = 128

func (c *FanoutConfig) orderAssignment() job.Assignment {
	return job.Assignment{Streams: int64(c.OrdersClients), Each: 1, Rooms: []string{c.OrdersRoom}, First: c.Clients}
}

func (r *fanoutRun) orderPublication(anchor int64, start int64) (publish.Publication, error) {
	c := r.cfg
	s, err := job.NewSchedule(start, c.OrdersRate)
	if err != nil {
		return publish.Publication{}, job.Inputf("--orders: %v", err)
	}
	shape, err := job.NewValueShape(orderSize, c.ordersFields)
	if err != nil {
		return publish.Publication{}, err
	}
	wrap, err := job.ParseTemplate(c.Template)
	return publish.Publication{
		Schedule: s, Anchor: anchor, Shape: shape, Assignment: c.orderAssignment(), Template: wrap,
		Total: s.Before(start + int64(c.Warmup+c.Duration) - 1),
	}, err
}

// jobs returns what runs side by side during the run, and the number of messages to single users.
func (r *fanoutRun) jobs(ctx context.Context, m *runMetrics, p job.Timing, run *Run) (
	jobs []func() error, orders int64, err error) {
	c := r.cfg
	jobs = []func() error{func() error { return r.publishMain(ctx, p, run) }}
	run.feedsPublished = make([]publish.Published, len(c.Feeds))
	for k, f := range c.Feeds {
		jobs = append(jobs, func() error { return r.publish(ctx, &r.pubs[k+1], f.Topic, &run.feedsPublished[k]) })
	}
	if r.orders != nil {
		pub, err := r.runOrders(p)
		if err != nil {
			return nil, 0, err
		}
		orders = pub.Total
		jobs = append(jobs, func() error { return r.publish(ctx, &pub, c.OrdersTopic, &run.ordersPublisher) })
	}
	if err := r.tellOthers(p); err != nil {
		return nil, 0, err
	}
	if c.Storm != nil {
		if _, err := r.readers.TellAll(c.Storm.order(p)); err != nil {
			return nil, 0, err
		}
		jobs = append(jobs, func() error { return r.sampleUntil(ctx, m.scraper, 200*time.Millisecond, p.To-p.Anchor) })
	}
	if c.Abuse != nil {
		if _, err := r.readers.TellAll(c.Abuse.order(p)); err != nil {
			return nil, 0, err
		}
		jobs = append(jobs, func() error { return r.abuse.run(ctx, m.scraper, r.end.Admin, p) })
	}
	if c.Soak != nil {
		run.Soak = &SoakReport{}
		jobs = append(jobs, func() error { return r.soak(ctx, m.scraper, p, run.Soak) })
	}
	return jobs, orders, nil
}

// tellOthers gives the further clients their orders, and the readers when to leave and return.
func (r *fanoutRun) tellOthers(p job.Timing) error {
	c, from := r.cfg, p.From-p.Anchor
	to := from + int64(c.StallFor)
	for _, x := range []struct {
		workers *pool.Workers
		order   job.Order
	}{
		{r.filtered, job.Order{}}, // they read as usual
		{r.stalled, job.Order{Op: "stall", From: from, To: to}},
		{r.slow, job.Order{Op: "slow", From: from, To: to, Rate: c.SlowRate}},
	} {
		if x.workers == nil {
			continue
		}
		if err := x.workers.Run(p); err != nil {
			return err
		}
		if x.order.Op == "" {
			continue
		}
		if _, err := x.workers.TellAll(x.order); err != nil {
			return err
		}
	}
	if c.Churn != nil {
		_, err := r.readers.Ask(func(w *pool.Worker) job.Order { return c.Churn.order(w, c.Clients, p) })
		return err
	}
	return nil
}
