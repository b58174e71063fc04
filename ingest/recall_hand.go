package ingest

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"tapecast/rooms"
)

// answerBy is how long a request waits for a first record. Then its member is told how far it is.
const answerBy = 5 * time.Second

// handOut answers the request with its room's frames. If there are none yet it returns false:
// the request goes on waiting, and lacks less if some of its stretch was read.
func (a *recaller) handOut(w *asked, g *group, pasts map[string]*shared, fresh []*piece, now time.Time) bool {
	s := pasts[w.Room]
	if s == nil {
		s = a.build(w, g, fresh, now)
		pasts[w.Room] = s
	}
	done, moved := true, false
	for i, p := range w.UpTo {
		if w.from[i] > p.Offset {
			continue
		}
		to := min(reachOf(s.reaches, p.Partition, w.from[i]), p.Offset+1)
		moved = moved || to > w.from[i]
		done = done && to > p.Offset
	}
	if !moved && !done {
		return false
	}
	w.came = now
	if !done && s.past.Frames() == 0 && time.Since(w.begun) < answerBy {
		for i, p := range w.UpTo {
			w.from[i] = max(w.from[i], min(reachOf(s.reaches, p.Partition, w.from[i]), p.Offset+1))
		}
		return false
	}
	a.hand(w, s)
	return true
}

// build makes the frames of a request's room from the records that were read for the group.
func (a *recaller) build(of *asked, g *group, fresh []*piece, now time.Time) *shared {
	s, room := &shared{reaches: a.windows(of, g)}, of.Room
	var all []rooms.Record
	runs := 0
	for i := range s.reaches {
		had := len(all)
		all, s.reaches[i].to = g.topic.gather(all, room, s.reaches[i], fresh, now)
		if len(all) > had {
			runs++
		}
	}
	if runs > 1 {
		all = byTime(all)
	}
	s.past = rooms.NewPast(of.Pattern, room, all, g.lasts(room, s, all))
	if len(all) > 0 {
		s.size = s.past.Size()
		a.figures.handedAll.Add(uint64(s.size))
		g.topic.handed[room] = s
	}
	return s
}

// lasts returns the position of the room's last message before the records, by partition. Some
// request must know it: a request that lacks the first record and has everything before it.
func (g *group) lasts(room string, s *shared, all []rooms.Record) (last []rooms.Pos) {
	for _, r := range s.reaches {
		first := slices.IndexFunc(all, func(rec rooms.Record) bool { return rec.Partition == r.part })
		if first < 0 {
			continue
		}
		for _, w := range g.list {
			i := slices.IndexFunc(w.UpTo, func(p rooms.Pos) bool { return p.Partition == r.part })
			k := slices.IndexFunc(w.Last, func(p rooms.Pos) bool { return p.Partition == r.part })
			// Between the request's last offset and the first record there is none of the room.
			if w.Room == room && i >= 0 && k >= 0 && r.from <= w.from[i] && w.from[i] <= all[first].Offset {
				last = append(last, w.Last[k])
				break
			}
		}
	}
	return last
}

// hand answers the request with frames, and with their ends if they go less far than it asked.
func (a *recaller) hand(w *asked, s *shared) {
	var upTo []rooms.Pos
	short := false
	for i, p := range w.UpTo {
		to := p.Offset
		if w.from[i] <= p.Offset {
			to = min(reachOf(s.reaches, p.Partition, w.from[i])-1, p.Offset)
			short = short || to < p.Offset
		}
		upTo = append(upTo, rooms.Pos{Partition: p.Partition, Offset: to})
	}
	if !short {
		upTo = nil
	}
	a.figures.windows.Add(1)
	a.answer(w, a.handed.hand(s, w, upTo))
}

// stretch is a run of a partition's offsets, up to but not including to.
type stretch struct {
	part     int32
	from, to int64
}

// widen has a list of stretches, one of each partition, include another one.
func widen(list []stretch, s stretch) []stretch {
	if s.from >= s.to {
		return list
	}
	for i := range list {
		if w := &list[i]; w.part == s.part {
			w.from, w.to = min(w.from, s.from), max(w.to, s.to)
			return list
		}
	}
	return append(list, s)
}

// reachOf returns how far a list of stretches goes in a partition, from an offset on. It returns the
// offset itself if they do not include it.
func reachOf(list []stretch, part int32, from int64) int64 {
	for _, r := range list {
		if r.part == part && r.from <= from {
			return max(r.to, from)
		}
	}
	return from
}

func records(list []stretch) (n int64) {
	for _, s := range list {
		n += max(s.to-s.from, 0)
	}
	return n
}

// piece is a stretch that was read and routed.
type piece struct {
	stretch
	rooms map[string][]rooms.Record // by name, in the order of offsets
	bytes int64                     // of memory
	used  time.Time                 // when it last served a request
}

// maxPiece bounds the size of pieces that are joined: a piece is forgotten as a whole.
const maxPiece = 1 << 20

// missing appends the parts of a stretch that are not kept.
func (k *recallTopic) missing(list []stretch, s stretch) []stretch {
	for _, p := range k.kept[s.part] { // in the order of offsets
		if p.to <= s.from || p.from >= s.to {
			continue
		}
		if s.from < p.from {
			list = append(list, stretch{s.part, s.from, p.from})
		}
		s.from = p.to
	}
	if s.from < s.to {
		list = append(list, s)
	}
	return list
}

func (k *recallTopic) keep(p *piece) {
	list := k.kept[p.part]
	i, _ := slices.BinarySearchFunc(list, p.from, func(q *piece, from int64) int { return cmp.Compare(q.from, from) })
	if i > 0 && list[i-1].to == p.from && list[i-1].bytes+p.bytes <= maxPiece {
		list[i-1].join(p)
		return
	}
	if i < len(list) && p.to == list[i].from && list[i].bytes+p.bytes <= maxPiece {
		p.join(list[i])
		list[i] = p
		return
	}
	k.kept[p.part] = slices.Insert(list, i, p)
}

func (p *piece) join(q *piece) {
	for room, list := range q.rooms {
		p.rooms[room] = append(p.rooms[room], list...)
	}
	p.to, p.bytes, p.used = q.to, p.bytes+q.bytes, q.used
}

// forget drops pieces, and returns the bytes that this frees.
func (k *recallTopic) forget(which func(*piece) bool) (freed int64) {
	for part, list := range k.kept {
		k.kept[part] = slices.DeleteFunc(list, func(p *piece) bool {
			if !which(p) {
				return false
			}
			freed += p.bytes
			return true
		})
		if len(k.kept[part]) == 0 {
			delete(k.kept, part)
		}
	}
	return freed
}

// holding returns the piece that includes a partition's offset, kept or just read; nil: none.
func (k *recallTopic) holding(part int32, off int64, read []*piece) *piece {
	holds := func(p *piece) bool { return p.part == part && p.from <= off && off < p.to }
	for _, list := range [...][]*piece{k.kept[part], read} {
		if i := slices.IndexFunc(list, holds); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// gather appends the room's records in a stretch, from pieces that are kept or just read. It
// returns the offset up to which the list is complete.
func (k *recallTopic) gather(
	list []rooms.Record, room string, s stretch, read []*piece, now time.Time,
) ([]rooms.Record, int64) {
	for s.from < s.to {
		p := k.holding(s.part, s.from, read)
		if p == nil {
			break
		}
		p.used = now
		all := p.rooms[room]
		at := func(off int64) int {
			n, _ := slices.BinarySearchFunc(all, off, func(r rooms.Record, off int64) int {
				return cmp.Compare(r.Offset, off)
			})
			return n
		}
		list = append(list, all[at(s.from):at(s.to)]...)
		s.from = min(p.to, s.to)
	}
	return list, s.from
}

// byTime merges the partitions' runs by Kafka's timestamps. Within a partition the order is
// that of the offsets, whatever the timestamps are.
func byTime(all []rooms.Record) []rooms.Record {
	newest := map[int32]int64{}
	at := make([]int64, len(all))
	for i := range all {
		p := all[i].Partition
		newest[p] = max(newest[p], all[i].Time)
		at[i] = newest[p]
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(at[x], at[y]) })
	out := make([]rooms.Record, len(all))
	for i, x := range order {
		out[i] = all[x]
	}
	return out
}

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
	Asked     uint64            `metric:"tapecast_recall_asked_total"`   // requests of members that resume
	Refused   uint64            `metric:"tapecast_recall_refused_total"` // the sum of RefusedBy
	RefusedBy map[string]uint64 `metric:"tapecast_recall_refusals_total" label:"reason"`

	Windows     uint64 `metric:"tapecast_recall_windows_total"`      // parts that were handed to members
	BudgetWaits uint64 `metric:"tapecast_recall_budget_waits_total"` // a request waited for its user's budget
	TakenBack   uint64 `metric:"tapecast_recall_taken_back_total"`   // parts, of members that were sent nothing
	Reads       uint64 `metric:"tapecast_recall_reads_total"`        // stretches of a partition
	Records     uint64 `metric:"tapecast_recall_records_total"`      // records read again
	Bytes       uint64 `metric:"tapecast_recall_bytes_total"`        // of their keys and values
	// Dropped is bytes of records that were not kept, and in no requested room.
	Dropped   uint64 `metric:"tapecast_recall_dropped_bytes_total"`
	Kept      uint64 `metric:"tapecast_recall_kept_bytes"`        // bytes of kept records now
	Handed    uint64 `metric:"tapecast_recall_handed_bytes"`      // bytes of frames that members hold now
	HandedAll uint64 `metric:"tapecast_recall_given_bytes_total"` // bytes of frames made so far
	Waiting   int    `metric:"tapecast_recall_waiting"`           // requests that wait now
	Users     int    `metric:"tapecast_recall_users"`             // whose budget or requests are counted

	Times        int    `metric:"tapecast_recall_times_waiting"`       // that wait to be looked up
	TimesRefused uint64 `metric:"tapecast_recall_times_refused_total"` // because too many waited
}

// RecallStats returns the figures. Without a Consumer all are 0.
func (c *Consumer) RecallStats() RecallStats {
	if c == nil {
		return RecallStats{}
	}
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
