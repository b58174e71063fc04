package ingest

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"

	"tapecast/rooms"
)

// errSlow is what a request is answered with that could not be served in time.
var errSlow error = &rooms.NotNowError{
	Why: "the messages could not be read from Kafka in time; try again", RetryAfter: time.Second,
}

// stretch is a run of a partition's offsets: from up to, not including, to.
type stretch struct {
	part     int32
	from, to int64
}

// widen makes the partition's stretch in list cover s too.
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

// recalled is what is kept of one epoch of a topic: of each partition one
// stretch, routed.
type recalled struct {
	topic *topic
	epoch string
	parts map[int32]*recalledPart
	pasts map[string]*rooms.Past // of rooms that were asked for since the last read
	bytes int64
	used  time.Time
}

type recalledPart struct {
	stretch
	rooms map[string][]rooms.Record // by name, in the order of offsets
}

// missing is what lies below, or above, what is kept of w's partition.
func (k *recalled) missing(w stretch, below bool) stretch {
	p := k.parts[w.part]
	switch {
	case p == nil && below:
		return w
	case p == nil:
		return stretch{}
	case below:
		return stretch{w.part, w.from, p.from}
	}
	return stretch{w.part, p.to, w.to}
}

// check says why a request cannot be served; nil: it can.
func (k *recalled) check(r *rooms.Recall, low, high map[int32]int64) error {
	oldest := rooms.Positions{Epoch: k.epoch}
	for _, p := range r.After {
		oldest.Offsets = append(oldest.Offsets, rooms.Pos{Partition: p.Partition, Offset: low[p.Partition] - 1})
	}
	if r.Epoch != k.epoch {
		return &rooms.TooOldError{Oldest: oldest, Why: fmt.Sprintf("it is of epoch %q, and the topic's is %q", r.Epoch, k.epoch)}
	}
	for _, p := range r.After {
		begin, ok := low[p.Partition]
		end, ok2 := high[p.Partition]
		switch {
		case !ok || !ok2:
			return errSlow // nobody leads the partition now
		case p.Offset < begin-1:
			return &rooms.TooOldError{Oldest: oldest, Why: fmt.Sprintf("partition %d begins at offset %d by now", p.Partition, begin)}
		case p.Offset >= end && p.Offset > -1:
			return &rooms.TooOldError{Oldest: oldest, Why: fmt.Sprintf("partition %d ends at offset %d, before it", p.Partition, end-1)}
		}
	}
	return nil
}

// past is what the room got in all that is kept.
func (a *recaller) past(k *recalled, p *rooms.Pattern, room string) *rooms.Past {
	if past := k.pasts[room]; past != nil {
		return past
	}
	var all []rooms.Record
	runs := 0
	for _, part := range k.parts {
		if list := part.rooms[room]; len(list) > 0 {
			all = append(all, list...)
			runs++
		}
	}
	if runs > 1 {
		all = byTime(all)
	}
	past := rooms.NewPast(p, room, all)
	a.handed.Add(past.Size())
	runtime.AddCleanup(past, func(n int64) { a.handed.Add(-n) }, past.Size())
	if k.pasts == nil {
		k.pasts = map[string]*rooms.Past{}
	}
	k.pasts[room] = past
	return past
}

// byTime merges the partitions' runs by Kafka's timestamps. The order within a
// partition is that of the offsets, whatever the timestamps say.
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

// add takes over what was read of a stretch, below or above what is there.
func (k *recalled) add(s stretch, fresh map[string][]rooms.Record) {
	k.pasts = nil
	p := k.parts[s.part]
	if p == nil {
		k.parts[s.part] = &recalledPart{s, fresh}
		return
	}
	below := s.from < p.from
	for room, list := range fresh {
		if old := p.rooms[room]; below {
			p.rooms[room] = append(list, old...)
		} else {
			p.rooms[room] = append(old, list...)
		}
	}
	p.from, p.to = min(p.from, s.from), max(p.to, s.to)
}
