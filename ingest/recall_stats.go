package ingest

import "sync/atomic"

type refusal uint8

const (
	refusedOld     refusal = iota // Kafka does not have the records any more
	refusedMuch                   // it needs more than a user's whole budget
	refusedBudget                 // the user's budget is used up for now
	refusedSlow                   // Kafka did not answer in time, or there was no memory in time
	refusedCrowd                  // too many requests wait
	refusedStopped                // the gateway stops
	refusedGone                   // nobody waits for the answer any more
	refusals
)

func (r refusal) String() string {
	return [...]string{"too_old", "too_much", "budget", "slow", "crowd", "stopped", "gone"}[r]
}

// recallFigures are the counters of RecallStats. Any goroutine may add to them.
type recallFigures struct {
	asked, windows, reads, records, bytes, dropped, kept atomic.Uint64
	handedAll, budgetWaits                               atomic.Uint64
	users                                                atomic.Int64
	refused                                              [refusals]atomic.Uint64
}

// RecallStats are the figures of reading again.
type RecallStats struct {
	Asked       uint64 // requests of members that resume
	Refused     uint64 // the sum of RefusedBy
	RefusedBy   map[string]uint64
	Windows     uint64 // parts that were handed to members
	BudgetWaits uint64 // times that a request waited for its user's budget
	TakenBack   uint64 // parts taken back from members that were sent nothing
	Reads       uint64 // stretches of a partition
	Records     uint64 // records read again
	Bytes       uint64 // of their keys and values
	Dropped     uint64 // bytes of records that were not kept, and in no requested room
	Kept        uint64 // bytes of kept records now
	Handed      uint64 // bytes of frames that members hold now
	HandedAll   uint64 // bytes of frames made so far
	Waiting     int    // requests that wait now
	Users       int    // users whose budget or requests are counted

	Times        int    // times that wait to be looked up
	TimesRefused uint64 // times refused because too many waited
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
