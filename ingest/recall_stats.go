package ingest

import "sync/atomic"

// refusal is why a request was not served.
type refusal uint8

const (
	refusedOld     refusal = iota // Kafka has not got it
	refusedMuch                   // more than a user's budget ever gives
	refusedBudget                 // the user's budget is used up for now
	refusedSlow                   // Kafka, or memory, did not come in time
	refusedCrowd                  // too many wait
	refusedStopped                // the gateway stops
	refusedGone                   // nobody waits for the answer any more
	refusals
)

func (r refusal) String() string {
	return [...]string{"too_old", "too_much", "budget", "slow", "crowd", "stopped", "gone"}[r]
}

// recallFigures are what RecallStats reports. Any goroutine may add to them.
type recallFigures struct {
	asked, windows, reads, records, bytes, dropped, kept atomic.Uint64
	handedAll, budgetWaits                               atomic.Uint64
	users                                                atomic.Int64
	refused                                              [refusals]atomic.Uint64
}

// RecallStats are the figures of what was read again.
type RecallStats struct {
	Asked       uint64 // by members that resume
	Refused     uint64 // all of RefusedBy
	RefusedBy   map[string]uint64
	Windows     uint64 // parts of a past that members were given
	BudgetWaits uint64 // times that a member's next part waited for its user's budget
	TakenBack   uint64 // parts taken back from members that were sent nothing
	Reads       uint64 // stretches of a partition
	Records     uint64
	Bytes       uint64 // of their keys and values
	Dropped     uint64 // bytes of those that were for rooms nobody asked for, and not kept
	Kept        uint64 // bytes now
	Handed      uint64 // bytes of frames made of them, until nobody is being sent them
	HandedAll   uint64 // bytes of frames made so far
	Waiting     int    // requests now
	Users       int    // that something is counted of

	Times        int    // being looked up
	TimesRefused uint64 // because too many waited
}

// RecallStats returns the figures.
func (c *Consumer) RecallStats() RecallStats {
	a := c.recaller
	f := &a.figures
	s := RecallStats{
		Asked: f.asked.Load(), Windows: f.windows.Load(), BudgetWaits: f.budgetWaits.Load(), Reads: f.reads.Load(),
		Records: f.records.Load(), Bytes: f.bytes.Load(), Dropped: f.dropped.Load(), Kept: f.kept.Load(),
		HandedAll: f.handedAll.Load(), Waiting: int(a.waiting.Load()), Users: int(f.users.Load()),
		RefusedBy: map[string]uint64{},
	}
	for r := range refusals {
		n := f.refused[r].Load()
		s.RefusedBy[r.String()] = n
		s.Refused += n
	}
	a.handed.mu.Lock()
	s.Handed, s.TakenBack = uint64(a.handed.bytes), a.handed.taken
	a.handed.mu.Unlock()
	s.Times, s.TimesRefused = c.times.stats()
	return s
}
