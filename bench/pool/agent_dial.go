package pool

import (
	"context"
	"encoding/json"
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// clockTries is how often an agent's clock is asked. The fastest answer counts.
const clockTries = 64

// DialAgent makes a worker of an agent, and measures how its clocks differ from ours.
func DialAgent(ctx context.Context, addr, key string, clients int) (*Worker, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, job.Inputf("cannot reach agent %s: %s (start tapecast-bench agent there)", addr, job.RootOf(err))
	}
	w := &Worker{In: conn, out: conn, enc: json.NewEncoder(conn), dec: json.NewDecoder(conn)}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	w.end = func() { stop(); _ = conn.Close() }
	_ = conn.SetDeadline(time.Now().Add(greetWithin)) // it fails only if the connection has ended
	if err := w.agree(key, addr, clients); err != nil {
		w.end()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return w, nil
}

func (w *Worker) agree(key, addr string, clients int) error {
	tell := func(q agentAsk) (a agentAnswer, err error) {
		if err = w.Ask(q, &a); err == nil && a.Err != "" {
			err = job.Inputf("agent %s: %s", addr, a.Err)
		}
		return a, err
	}
	hello, err := tell(agentAsk{Op: "hello", Version: agentVersion, Key: key})
	if err != nil {
		return err
	}
	if most := hello.Descriptors - machine.SpareDescriptors; clients > most {
		return job.Inputf("agent %s: %d clients are more than the %d that a process there has descriptors for: use "+
			"--procs, or raise the limit (ulimit -Hn)", addr, clients, most)
	}
	w.clockError = math.MaxInt64
	for range clockTries {
		a, wall := machine.ClockGettime(unix.CLOCK_MONOTONIC), machine.ClockGettime(unix.CLOCK_REALTIME)
		at, err := tell(agentAsk{Op: "clock"})
		if err != nil {
			return err
		}
		b := machine.ClockGettime(unix.CLOCK_MONOTONIC)
		if half := (b - a) / 2; half < w.clockError {
			w.clockError, w.ahead, w.skew = half, at.Mono-a-half, at.Wall-wall-half
		}
	}
	_, err = tell(agentAsk{Op: "work"})
	return err
}

// ClockError returns by how much, in ns, the clocks of the workers' machines may still be
// off after correction. Latencies are off by as much.
func (c *Workers) ClockError() int64 {
	var most int64
	for _, w := range c.workers {
		most = max(most, w.clockError)
	}
	return most
}

func launch(ctx context.Context, job job.Job, k int) (*Worker, error) {
	if n := len(job.Agents.Addrs); n > 0 {
		return DialAgent(ctx, job.Agents.Addrs[k%n], job.Agents.Key, job.Clients)
	}
	return Spawn(ctx, "worker", machine.On(job.CPUs))
}
