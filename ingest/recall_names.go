package ingest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tapecast/rooms"
)

// wanted are the rooms that requests want of a read that is too large to be kept.
type wanted struct {
	rooms    map[string]bool
	prefixes []string // of rooms whose names are wanted, but not their records
}

func wantedBy(g *group) *wanted {
	want := &wanted{rooms: map[string]bool{}}
	for _, w := range g.list {
		if w.Names == nil {
			want.rooms[w.Room] = true
		} else if !slices.Contains(want.prefixes, w.Room) {
			want.prefixes = append(want.prefixes, w.Room)
		}
	}
	return want
}

// name notes the room of a record if only the room's name is wanted. It adds one record without
// a value for the room, with the last offset.
func (want *wanted) name(into *piece, rec *rooms.Record) {
	if list := into.rooms[string(rec.Room)]; len(list) > 0 {
		list[0].Offset = rec.Offset
		return
	}
	for _, prefix := range want.prefixes {
		if name := string(rec.Room); strings.HasPrefix(name, prefix) {
			into.rooms[name] = []rooms.Record{{Pattern: rec.Pattern, Partition: rec.Partition, Offset: rec.Offset}}
			return
		}
	}
}

// scan has the names of rooms in the read of a group, for the requests of one prefix.
type scan struct {
	reaches []stretch
	lasts   map[string][]rooms.Pos // by room: the last record of each partition
}

// scan collects names from the records in the windows of a group's requests for one prefix.
func (a *recaller) scan(of *asked, g *group, fresh []*piece, now time.Time) *scan {
	s := &scan{reaches: a.windows(of, g), lasts: map[string][]rooms.Pos{}}
	for i := range s.reaches {
		r := &s.reaches[i]
		at, end := r.from, r.to
		for at < end {
			p := g.topic.holding(r.part, at, fresh)
			if p == nil {
				break
			}
			p.used = now
			s.add(p, of, at)
			at = min(p.to, end)
		}
		r.to = at
	}
	return s
}

// add adds the rooms of a piece that have a record at an offset or after it.
func (s *scan) add(p *piece, of *asked, from int64) {
	for name, list := range p.rooms {
		if !strings.HasPrefix(name, of.Room) || len(list) == 0 || list[0].Pattern != of.Pattern {
			continue
		}
		last := rooms.Pos{Partition: p.part, Offset: list[len(list)-1].Offset}
		if last.Offset < from {
			continue
		}
		at := slices.IndexFunc(s.lasts[name], func(o rooms.Pos) bool { return o.Partition == p.part })
		if at < 0 {
			s.lasts[name] = append(s.lasts[name], last)
		} else {
			s.lasts[name][at].Offset = max(s.lasts[name][at].Offset, last.Offset)
		}
	}
}

// nameOut adds the names of the scan to the request, and answers it if it lacks no more offsets
// or has more names than it may join. Otherwise it returns false: the request goes on waiting.
func (a *recaller) nameOut(w *asked, g *group, scans map[string]*scan, fresh []*piece, now time.Time) bool {
	s := scans[w.Room]
	if s == nil {
		s = a.scan(w, g, fresh, now)
		scans[w.Room] = s
	}
	if w.names == nil {
		w.names = map[string]struct{}{}
	}
	for name, lasts := range s.lasts {
		for _, last := range lasts {
			i := slices.IndexFunc(w.UpTo, func(p rooms.Pos) bool { return p.Partition == last.Partition })
			if i >= 0 && w.from[i] <= last.Offset && w.from[i] <= w.UpTo[i].Offset {
				w.names[name] = struct{}{}
			}
		}
	}
	for i, p := range w.UpTo {
		if w.from[i] > p.Offset {
			continue
		}
		if to := min(reachOf(s.reaches, p.Partition, w.from[i]), p.Offset+1); to > w.from[i] {
			w.from[i], w.came = to, now
		}
	}
	if w.lack() > 0 && (w.Most == 0 || len(w.names) <= w.Most) {
		return false
	}
	a.answerNames(w)
	return true
}

func (a *recaller) answerNames(w *asked) {
	a.waiting.Add(-1)
	w.Names(slices.Sorted(maps.Keys(w.names)), nil)
}
