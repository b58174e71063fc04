package bench

import (
	"fmt"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/pool"
)

// ChurnConfig makes a share of a fanout's clients leave their rooms and return while messages flow.
type ChurnConfig struct {
	Share  float64       // of the clients, 0 to 1
	Rate   float64       // clients that leave per second
	Away   time.Duration // how long each stays away
	Resume bool          // they resume from where they left, and must miss nothing
}

func (x *ChurnConfig) check(c *FanoutConfig) error {
	n := int(x.Share * float64(c.Clients))
	switch {
	case x.Share < 0 || x.Share > 1 || n < c.Procs:
		return job.Inputf("--share %v: it must be at least one client of each process, and at most 1", x.Share)
	case x.Rate <= 0 || x.Away < 0:
		return job.Inputf("--leaves %v, --away %s: the rate must be more than 0, and the time cannot be negative",
			x.Rate, x.Away)
	case x.Rate*x.Away.Seconds() > float64(n):
		return job.Inputf("--leaves %v a second for %s each are more than the %d clients of --share %v", x.Rate, x.Away,
			n, x.Share)
	case c.AutoJoin || c.Bare || c.Baseline || len(c.Feeds) > 0:
		return job.Inputf("churn needs rooms that clients name themselves, with envelopes: leave out --auto-join, " +
			"--bare and --baseline")
	case x.Resume && !c.Check:
		return job.Inputf("--resume needs --check: clients take their positions from the envelopes")
	}
	return nil
}

func (x *ChurnConfig) order(w *pool.Worker, clients int, p job.Timing) job.Order {
	part := float64(w.Clients) / float64(clients)
	return job.Order{Op: "churn", From: p.From - p.Anchor, To: p.To - p.Anchor,
		Clients: int(x.Share * float64(w.Clients)), Every: time.Duration(1e9 / (x.Rate * part)), Away: x.Away,
		Resume: x.Resume}
}

// ChurnReport is about the clients that left their rooms and came back.
type ChurnReport struct {
	job.ChurnCounts
	Resumed bool          `json:"resumed"`
	Leave   job.Quantiles `json:"leave"`  // from due to leave until confirmed
	Return  job.Quantiles `json:"return"` // from due to return until confirmed
}

func (r *ChurnReport) judge(g *Run) {
	if r.After > 0 {
		g.Faults = append(g.Faults, fmt.Sprintf("%d messages to clients that had left", r.After))
	}
	if n := r.Left - r.Returned; n > 0 {
		g.Faults = append(g.Faults, fmt.Sprintf("%d clients could not join again", n))
	}
}
