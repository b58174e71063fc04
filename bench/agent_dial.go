package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Agents are other machines that clients run on.
type Agents struct {
	Addrs []string // HOST:PORT. nil: clients run here
	Key   string
}

// clockTries is how often an agent's clock is asked; the answer that came fastest counts.
const clockTries = 64

// dialAgent makes a worker of an agent, and finds how its clocks differ from ours.
func dialAgent(ctx context.Context, addr, key string, clients int) (*worker, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, inputf("cannot reach agent %s: %s (start tapecast-bench agent there)", addr, rootOf(err))
	}
	w := &worker{in: conn, out: conn, enc: json.NewEncoder(conn), dec: json.NewDecoder(conn), end: func() { _ = conn.Close() }}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(greetWithin)) // a connection that can't have one has ended
	err = w.agree(key, addr, clients)
	if err == nil {
		_ = conn.SetDeadline(time.Time{})
		w.end = func() { stop(); _ = conn.Close() }
		return w, nil
	}
	stop()
	_ = conn.Close()
	return nil, err
}

func (w *worker) agree(key, addr string, clients int) error {
	tell := func(q agentAsk) (a agentAnswer, err error) {
		if err = w.ask(q, &a); err == nil && a.Err != "" {
			err = inputf("agent %s: %s", addr, a.Err)
		}
		return a, err
	}
	hello, err := tell(agentAsk{Op: "hello", Version: agentVersion, Key: key})
	if err != nil {
		return err
	}
	if most := hello.Descriptors - spareDescriptors; clients > most {
		return inputf("agent %s: %d clients are more than the %d that a process there has descriptors for: use --procs, or raise the limit (ulimit -Hn)", addr, clients, most)
	}
	w.clockError = math.MaxInt64
	for range clockTries {
		a, wall := clockGettime(unix.CLOCK_MONOTONIC), clockGettime(unix.CLOCK_REALTIME)
		at, err := tell(agentAsk{Op: "clock"})
		if err != nil {
			return err
		}
		b := clockGettime(unix.CLOCK_MONOTONIC)
		if half := (b - a) / 2; half < w.clockError {
			w.clockError, w.ahead, w.skew = half, at.Mono-a-half, at.Wall-wall-half
		}
	}
	_, err = tell(agentAsk{Op: "work"})
	return err
}

// on is the order as a worker with other clocks must get it: ahead is by how much its
// monotonic clock is ahead of ours, skew by how much its wall clock is.
func (o order) on(ahead, skew int64) order {
	if ahead == 0 && skew == 0 {
		return o
	}
	shift := func(t *int64) {
		if *t != 0 {
			*t += ahead
		}
	}
	shift(&o.Deadline)
	shift(&o.From)
	shift(&o.To)
	if o.Sip != nil {
		x := *o.Sip
		x.From, x.To, o.Sip = x.From+ahead, x.To+ahead, &x
	}
	if o.Churn != nil {
		x := *o.Churn
		x.From, x.To, o.Churn = x.From+ahead, x.To+ahead, &x
	}
	if o.Storm != nil {
		x := *o.Storm
		x.At, x.Until, o.Storm = x.At+ahead, x.Until+ahead, &x
	}
	if o.Op == "run" { // its times are ns since 1970 by our clock
		o.Plan.Anchor -= ahead
		o.Plan.Skew = skew
	}
	return o
}

// back sets the times in a worker's answer by our clock.
func (a *answer) back(ahead int64) {
	if a.Results != nil && a.Results.Storm != nil {
		a.Results.Storm.At -= ahead
		a.Results.Storm.Last -= ahead
	}
}

// clockError is how much the clocks of a crew's machines may differ from ours at most,
// after what was found is allowed for, in ns; latencies err by as much.
func (c *crew) clockError() int64 {
	var most int64
	for _, w := range c.workers {
		most = max(most, w.clockError)
	}
	return most
}

// launch starts the k-th worker of a job, here or on an agent.
func launch(ctx context.Context, job Job, k int) (*worker, error) {
	if n := len(job.Agents.Addrs); n > 0 {
		w, err := dialAgent(ctx, job.Agents.Addrs[k%n], job.Agents.Key, job.Clients)
		if err != nil {
			return nil, err
		}
		return w, nil
	}
	w, err := spawn(ctx, "worker", on(job.CPUs))
	if err != nil {
		return nil, fmt.Errorf("cannot start a worker: %w", err)
	}
	return w, nil
}
