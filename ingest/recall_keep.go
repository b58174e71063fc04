package ingest

import (
	"cmp"
	"slices"
	"time"

	"tapecast/rooms"
)

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
