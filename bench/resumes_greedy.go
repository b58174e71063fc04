package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// greedyOnes are the hostile processes of a leg: one of those who ask again and again,
// and one of each that stalls, whose tokens are given.
type greedyOnes struct {
	workers []*worker
	greedy  bool // the first of them is
	running sync.WaitGroup
	tally   []HostileTally
	errs    []error
}

// longestLeg is when hostile clients end by themselves.
const longestLeg = time.Hour

func (r *resumesRun) startGreedy(ctx context.Context) (*greedyOnes, error) {
	c := &r.cfg
	job := HostileJob{
		peerJob: r.job(), Kind: "resume", Connections: c.Greedy, Sources: (&AbuseConfig{Addresses: 10}).sources(),
		Keys: c.Target.Keys, Room: c.GreedyRoom, Rate: c.GreedyRate,
	}
	var jobs []HostileJob
	if c.Greedy > 0 {
		jobs = append(jobs, job)
	}
	for k := range c.Stalled {
		user := fmt.Sprint("stalled-", k+1)
		token, err := r.sign.sign(user)
		if err != nil {
			return nil, err
		}
		one := job
		one.Kind, one.Connections, one.Keys = "stalled", 1, Keys{Token: token}
		one.Room = strings.ReplaceAll(c.GreedyRoom, "{user}", user)
		jobs = append(jobs, one)
	}
	g := &greedyOnes{greedy: c.Greedy > 0, tally: make([]HostileTally, len(jobs)), errs: make([]error, len(jobs))}
	for k, job := range jobs {
		w, err := spawn(ctx, "hostile", startLast)
		if err != nil {
			g.stop()
			return nil, err
		}
		g.workers = append(g.workers, w)
		var a HostileTally
		if err = w.ask(job, &a); err == nil && a.Err != "" {
			err = inputf("cannot start hostile clients: %s", a.Err)
		}
		if err != nil {
			g.stop()
			return nil, err
		}
		g.running.Go(func() {
			g.errs[k] = w.ask(hostileOrder{From: monotonicIn(0), To: monotonicIn(longestLeg)}, &g.tally[k])
		})
	}
	return g, nil
}

// tallies ends them, and says how they fared.
func (g *greedyOnes) tallies() (greedy, stalled *HostileTally, err error) {
	for _, w := range g.workers {
		_ = w.in.Close() // an attack ends with it
	}
	g.running.Wait()
	g.stop()
	for k := range g.tally {
		if g.errs[k] != nil {
			return nil, nil, g.errs[k]
		}
		if k == 0 && g.greedy {
			greedy = &g.tally[k]
			continue
		}
		if stalled == nil {
			stalled = newHostileTally()
		}
		stalled.merge(&g.tally[k])
	}
	return greedy, stalled, nil
}

// stop ends them.
func (g *greedyOnes) stop() {
	for _, w := range g.workers {
		w.stop()
	}
	g.workers = nil
}

// merge adds all of another process's tally.
func (t *HostileTally) merge(u *HostileTally) {
	t.add(u)
	t.Opened += u.Opened
	t.Stayed += u.Stayed
	for why, n := range u.Refused {
		t.Refused[why] += n
	}
	for why, n := range u.Closes {
		t.Closes[why] += n
	}
}
