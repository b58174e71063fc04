package bench

import (
	"context"
	"math"
	"sync"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
)

// newcomers are ordinary clients that connect while others are there already. Each waits
// for the gateway's first message, and leaves.
type newcomers struct {
	peer  *client.Dialer
	sign  job.Signer
	first int     // number of the first newcomer's user
	rate  float64 // a second

	mu      sync.Mutex // guards the fields below
	latency *job.Hist
	failed  map[string]int64
}

// come makes newcomers connect from one time to another (CLOCK_MONOTONIC). It returns when
// the last one has its message, or was given up.
func (x *newcomers) come(ctx context.Context, from, to int64) error {
	count := int(math.Ceil(float64(to-from) / 1e9 * x.rate))
	return Come(ctx, x.sign, from, x.first, count, x.rate, func(n int, token string, due int64) {
		ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
		defer cancel()
		why := x.enter(ctx, n, token)
		took := machine.MonotonicIn(0) - due // of one that is not let in, the time it tried
		x.mu.Lock()
		defer x.mu.Unlock()
		if why != "" {
			x.failed[why]++
		}
		x.latency.Record(took)
	})
}

// Come makes count clients come at a rate, from a given time on (CLOCK_MONOTONIC). Their
// users' numbers start at first. Each client is a call of one on a goroutine of its own,
// and Come returns when all of them have.
func Come(ctx context.Context, sign job.Signer, from int64, first, count int, rate float64,
	one func(n int, token string, due int64)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range count {
		due := from + int64(float64(n)/rate*1e9)
		token, err := sign.Sign(job.UserName(first + n)) // signed before it is due, so not timed
		if err != nil {
			return err
		}
		if err := machine.Pause(ctx, time.Duration(due-machine.MonotonicIn(0))); err != nil {
			return err
		}
		wg.Go(func() { one(n, token, due) })
	}
	return nil
}

// enter returns how a connection ended before the first message; "": the message came.
func (x *newcomers) enter(ctx context.Context, n int, token string) string {
	c, err := x.peer.Connect(ctx, n, token)
	if err != nil {
		return client.EndOf(0, nil, err)
	}
	op, p, err := c.Next()
	if err != nil || op == proto.OpClose {
		return client.EndOf(op, p, err)
	}
	c.Leave()
	return ""
}
