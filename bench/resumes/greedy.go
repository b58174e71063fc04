package resumes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/pool"
)

// greedyOnes are the hostile processes of a run: one for the clients that ask repeatedly,
// and one for each client that stalls, with its token.
type greedyOnes struct {
	workers []*pool.Worker
	greedy  bool // the first process is that of the greedy clients
	running sync.WaitGroup
	tally   []hostile.Tally
	errs    []error
}

// longestRun is when hostile clients end by themselves.
const longestRun = time.Hour

func (r *resumesRun) startGreedy(ctx context.Context) (*greedyOnes, error) {
	c := &r.cfg
	j := hostile.Job{
		Job: client.Job{Endpoint: r.end.Endpoint}, Kind: "resume", Connections: c.Greedy, Keys: c.Target.Keys,
		Room: c.GreedyRoom, Rate: c.GreedyRate,
	}
	j.Sources = bench.HostileSources(10)
	var jobs []hostile.Job
	if c.Greedy > 0 {
		jobs = append(jobs, j)
	}
	for k := range c.Stalled {
		user := fmt.Sprint("stalled-", k+1)
		token, err := r.sign.Sign(user)
		if err != nil {
			return nil, err
		}
		one := j
		one.Kind, one.Connections, one.Keys = "stalled", 1, job.Keys{Token: token}
		one.Room = strings.ReplaceAll(c.GreedyRoom, "{user}", user)
		jobs = append(jobs, one)
	}
	g := &greedyOnes{greedy: c.Greedy > 0, tally: make([]hostile.Tally, len(jobs)), errs: make([]error, len(jobs))}
	for k, j := range jobs {
		w, err := bench.StartHostile(ctx, j, machine.StartLast)
		if err != nil {
			g.stop()
			return nil, err
		}
		g.workers = append(g.workers, w)
		g.running.Go(func() {
			g.errs[k] = w.Ask(hostile.Order{From: machine.MonotonicIn(0), To: machine.MonotonicIn(longestRun)},
				&g.tally[k])
		})
	}
	return g, nil
}

// tallies ends the processes, and returns their tallies.
func (g *greedyOnes) tallies() (greedy, stalled *hostile.Tally, err error) {
	for _, w := range g.workers {
		_ = w.In.Close() // ends the attack
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
			stalled = &hostile.Tally{}
		}
		job.Add(stalled, &g.tally[k])
	}
	return greedy, stalled, nil
}

func (g *greedyOnes) stop() {
	for _, w := range g.workers {
		w.Stop()
	}
	g.workers = nil
}
