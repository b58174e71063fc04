package ingest

import (
	"slices"
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
