package pool

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/text"
)

// agentVersion is the version of the protocol between agents and drivers.
const agentVersion = 4

// agentAsk is one question to an agent. The questions are JSON values, one after another:
// which version and limit it has, what its clocks show, and at last to be a worker. From
// then on the connection is the standard input and output of a worker.
type agentAsk struct {
	Op      string `json:"op"` // hello, clock, work
	Version int    `json:"version,omitempty"`
	Key     string `json:"key,omitempty"`
}

type agentAnswer struct {
	Err         string `json:"err,omitempty"`
	Descriptors int    `json:"descriptors,omitempty"` // limit of a process
	Mono        int64  `json:"mono,omitempty"`        // CLOCK_MONOTONIC
	Wall        int64  `json:"wall,omitempty"`        // ns since 1970
}

// Agent lends this machine to runs that are driven from another one. It starts a worker
// process for each connection to ln, until ctx ends. With a key, each driver must send the
// same one. The key crosses the network in the clear, like the keys of the clients'
// tokens, so the network between agents must be trusted.
func Agent(ctx context.Context, ln net.Listener, key string, log io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	done := make(chan struct{}, 1<<10) // bounds the workers
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = nil
			}
			for range cap(done) { // the workers end with ctx
				done <- struct{}{}
			}
			return err
		}
		done <- struct{}{}
		go func() {
			defer func() { <-done }()
			defer conn.Close()
			text.LogLine(log, "%s connected", conn.RemoteAddr())
			if err := serveDriver(ctx, conn, key); err != nil && !errors.Is(err, io.EOF) {
				text.LogLine(log, "%s: %v", conn.RemoteAddr(), err)
				return
			}
			text.LogLine(log, "%s is done", conn.RemoteAddr())
		}()
	}
}

// greetWithin is how long a driver that has connected may take to ask for a worker.
const greetWithin = 30 * time.Second

// serveDriver answers one connection until it becomes a worker's.
func serveDriver(ctx context.Context, conn net.Conn, key string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(greetWithin)) // it fails only if the connection has ended
	dec, enc := json.NewDecoder(io.LimitReader(conn, 64<<10)), json.NewEncoder(conn)
	known := false
	for {
		var q agentAsk
		if err := dec.Decode(&q); err != nil {
			return err
		}
		var a agentAnswer
		switch {
		case q.Op == "hello" && q.Version != agentVersion:
			a.Err = fmt.Sprintf("this agent speaks version %d, not %d: use the same tapecast-bench everywhere",
				agentVersion, q.Version)
		case q.Op == "hello" && subtle.ConstantTimeCompare([]byte(q.Key), []byte(key)) == 0:
			a.Err = "the key is not the agent's: give --agent-key-file"
		case q.Op == "hello":
			known, a.Descriptors = true, machine.DescriptorLimit()
		case q.Op == "clock" && known:
			a.Mono, a.Wall = machine.ClockGettime(unix.CLOCK_MONOTONIC), machine.ClockGettime(unix.CLOCK_REALTIME)
		case q.Op == "work" && known:
			if err := enc.Encode(a); err != nil {
				return err
			}
			_ = conn.SetDeadline(time.Time{})
			return lend(ctx, conn)
		default:
			a.Err = fmt.Sprintf("%q is not an operation of an agent", q.Op)
		}
		if err := enc.Encode(a); err != nil || a.Err != "" {
			return errors.Join(err, errors.New(a.Err))
		}
	}
}

// lend starts a worker and carries bytes between it and the connection, until that ends.
func lend(ctx context.Context, conn net.Conn) error {
	w, err := Spawn(ctx, "worker", machine.On(nil))
	if err != nil {
		return err
	}
	out := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, w.out)
		_ = conn.Close() // ends the other direction
		out <- err
	}()
	_, _ = io.Copy(w.In, conn) // its end is the end of the work, for whatever reason
	w.Stop()
	_ = conn.Close()
	<-out
	return nil
}

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
