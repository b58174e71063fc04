package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

const (
	// pollFor is the longest wait of a loop before it looks at its deadline.
	pollFor = 50 * time.Millisecond
	// lingerFor is how long clients that have everything are watched for surplus messages.
	lingerFor = 200 * time.Millisecond
)

// Run is a process that holds clients. It reads a Job and then orders, one JSON value
// each, and writes one answer to each. It returns when its input ends.
func Run(in io.Reader, out io.Writer) error {
	runtime.LockOSThread() // one loop on one thread
	defer runtime.UnlockOSThread()
	debug.SetGCPercent(400) // a run allocates next to nothing
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var j job.Job
	if err := dec.Decode(&j); err != nil {
		return fmt.Errorf("cannot read the job: %w", err)
	}
	machine.RaiseDescriptors()
	if j.Prefer {
		machine.PreferThread()
	}
	l, err := newLoop(j)
	if err != nil {
		return enc.Encode(job.Answer{Err: err.Error()})
	}
	defer l.close()
	if err := enc.Encode(job.Answer{}); err != nil {
		return err
	}
	var stop atomic.Bool
	orders := job.Orders[job.Order](dec, l.wakeUp, func() { stop.Store(true) })
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				return nil
			}
			if err := enc.Encode(l.obey(o, &stop)); err != nil {
				return err
			}
		default:
			l.turn(time.Second)
		}
	}
}

func (l *loop) obey(o job.Order, stop *atomic.Bool) job.Answer {
	var err error
	var piece *job.Interval
	switch o.Op {
	case "connect":
		err = l.join(o.Clients, o.Deadline)
	case "status":
	case "interval":
		piece = l.interval()
	case "run":
		err = l.run(o.Timing)
	case "stall":
		l.stall = &staller{from: o.From, to: o.To, stop: stop}
	case "storm":
		if l.storm, err = newStorm(l, o); err == nil {
			l.incidents = append(l.incidents, l.storm)
		}
	case "slow":
		l.incidents = append(l.incidents, &slowReading{order: o})
	case "churn":
		l.churn = &churner{order: o, next: o.From, due: make([]int64, o.Clients), out: &job.ChurnTally{
			ChurnCounts: job.ChurnCounts{Clients: o.Clients}, Leave: job.NewHist(), Return: job.NewHist()}}
		l.reader.out = make([]bool, len(l.clients))
		l.incidents = append(l.incidents, l.churn)
	case "ping":
		l.pinger = newPinger(o, len(l.clients))
		l.incidents = append(l.incidents, l.pinger)
	case "finish":
		t := l.finish(append([]int64{o.Total}, o.Totals...), o.Deadline, stop)
		return job.Answer{Results: t, Status: job.Status{Joined: l.joined, Gone: l.gone}, Interval: l.interval()}
	case "close":
		err = l.leave(o.Deadline)
	default:
		err = fmt.Errorf("unknown order %q", o.Op)
	}
	a := job.Answer{Interval: piece, Status: job.Status{Joined: l.joined, Gone: l.gone, Others: l.reader.others,
		Handshake: l.handshake}}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

func (l *loop) run(p job.Timing) error {
	if l.reader.started {
		return errors.New("a run is going on already")
	}
	if len(p.More) != len(l.assignments)-1 {
		return fmt.Errorf("an order with %d feeds for a job with %d", len(p.More)+1, len(l.assignments))
	}
	var tallies []*tally
	for k := range l.assignments {
		tallies = append(tallies, newTally(len(l.clients), &l.assignments[k], l.job.First-l.job.Base))
	}
	l.reader.start(p, tallies...)
	if l.job.Arrivals > 0 {
		l.reader.order = newArrivals(len(l.clients), l.job.Arrivals)
	}
	l.window = window{edge: p.From - p.Anchor, to: p.To - p.Anchor}
	l.paced = l.job.Pace > 0
	l.marked = mark{at: l.clock.Now(), asleep: l.asleep}
	return nil
}

// finish waits until every client that is still connected has all messages of each feed,
// or until the deadline, and returns what the clients got.
func (l *loop) finish(totals []int64, deadline int64, stop *atomic.Bool) *job.Tally {
	var looked, complete int64
	for now := l.clock.Now(); now < deadline && !stop.Load(); now = l.clock.Now() {
		l.turn(10 * time.Millisecond)
		if now-looked > 5e6 {
			looked = now
			switch {
			case !l.complete(totals):
				complete = 0
			case complete == 0:
				complete = now
			}
		}
		if len(l.incidents) > 0 {
			complete = 0
		}
		if complete != 0 && now-complete > int64(lingerFor) && now >= l.window.to {
			break
		}
	}
	l.turn(time.Millisecond) // takes the window's figures if its end has just come
	return l.results(totals)
}

func (l *loop) complete(totals []int64) bool {
	for k, f := range l.reader.feeds {
		for i := range l.clients {
			if l.clients[i].state == stJoined && f.tally.lost(i, totals[k]) > 0 {
				return false
			}
		}
	}
	return true
}

// feedTally returns what the clients got of the total messages of a feed, and what they
// should have got of those due in the window.
func (l *loop) feedTally(f *feed, total int64) (t job.FeedTally, due int64) {
	y := f.tally
	for at := range y.away {
		y.settle(at)
	}
	t.Unique, t.Late, t.Doubled, t.Foreign, t.Absent = y.unique, y.late, y.doubled, y.foreign, y.absent
	t.Latency = f.latency
	end := min(f.Schedule.Before(l.reader.timing.To-1), total)
	for i := range l.clients {
		t.Want += y.want(i, total)
		t.Lost += y.lost(i, total)
		due += max(0, y.want(i, end)-y.want(i, f.Warm)) // the publisher may have fallen behind, and not come so far
	}
	return t, due
}

func (l *loop) results(totals []int64) *job.Tally {
	r := l.reader
	t := &job.Tally{
		Clients: len(l.clients), Gone: l.gone,
		Invalid: l.invalid, Others: r.others, Early: r.early,
		Frames: r.frames, Bytes: r.bytes, Arrival: r.arrival, Lag: l.lags.all(l.lag), Turns: l.turns,
		Notices: l.notices, Closes: l.closes, Faults: l.faults,
	}
	for k := range r.feeds {
		f, due := l.feedTally(&r.feeds[k], totals[k])
		t.Due += due
		if k > 0 {
			t.Feeds = append(t.Feeds, f)
			continue
		}
		t.FeedTally = f
		t.Foreign += r.strays
	}
	t.Latency = r.earlier.all(r.latency)
	if r.chain != nil {
		t.Breaks = r.chain.breaks
		if r.chain.first != "" {
			t.Faults = append(t.Faults, r.chain.first)
		}
	}
	if r.order != nil {
		t.Places = r.order.places(r.timing.Warm)
	}
	if l.stall != nil {
		t.Stall = &l.stall.found
	}
	if l.storm != nil {
		t.Storm = l.storm.out
	}
	if l.pinger != nil {
		l.pinger.settle(l.clock.Now())
		t.Pings = l.pinger.out
	}
	if l.churn != nil {
		t.Churn = l.churn.out
		t.Churn.After = r.after
	}
	l.window.report(t)
	return t
}
