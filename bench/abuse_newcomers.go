package bench

import (
	"context"
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
	peer    *client.Dialer
	sign    job.Signer
	first   int // number of the first newcomer's user
	sources []string
	rate    float64 // a second

	mu      sync.Mutex // guards the fields below
	latency *job.Hist
	failed  map[string]int64
}

func newNewcomers(j client.Job, keys job.Keys, sources []string, first int, rate float64) (*newcomers, error) {
	p, err := client.New(j)
	if err != nil {
		return nil, err
	}
	return &newcomers{peer: p, sign: job.NewSigner(keys), first: first, sources: sources, rate: rate,
		latency: job.NewHist(), failed: map[string]int64{}}, nil
}

// come makes newcomers connect from one time to another (CLOCK_MONOTONIC). It returns when
// the last one has its message, or was given up.
func (x *newcomers) come(ctx context.Context, from, to int64) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; x.rate > 0; n++ {
		due := from + int64(float64(n)/x.rate*1e9)
		if due >= to {
			return nil
		}
		token, err := x.sign.Sign(job.UserName(x.first + n)) // signed before it is due, so not timed
		if err != nil {
			return err
		}
		if err := machine.Pause(ctx, time.Duration(due-machine.MonotonicIn(0))); err != nil {
			return err
		}
		wg.Go(func() { x.one(ctx, n, token, due) })
	}
	return nil
}

// one connects a newcomer and leaves. One that is not let in counts with the time it tried.
func (x *newcomers) one(ctx context.Context, n int, token string, due int64) {
	ctx, cancel := context.WithTimeout(ctx, client.OpenPatience)
	defer cancel()
	why := x.enter(ctx, n, token)
	took := machine.MonotonicIn(0) - due
	x.mu.Lock()
	defer x.mu.Unlock()
	if why != "" {
		x.failed[why]++
	}
	x.latency.Record(took)
}

// enter returns how a connection ended before the first message; "": the message came.
func (x *newcomers) enter(ctx context.Context, n int, token string) string {
	source := ""
	if len(x.sources) > 0 {
		source = x.sources[n%len(x.sources)]
	}
	raw, err := x.peer.Dial(ctx, source, 0)
	if err != nil {
		return client.EndOf(0, nil, err)
	}
	defer func() { _ = raw.Close() }() // all that is needed was read
	c, err := x.peer.Open(ctx, raw, token)
	if err != nil {
		return client.EndOf(0, nil, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	op, p, err := c.Next()
	if err != nil || op == proto.OpClose {
		return client.EndOf(op, p, err)
	}
	// Without the close frame the connection still ends.
	_, _ = c.Write(proto.AppendFrame(nil, proto.OpClose, []byte{1000 >> 8, 1000 & 255}, proto.MaskKey()))
	return ""
}
