package rooms

import "slices"

// A wildcard that goes on from a place of its own lacks what every matching room got since, also
// rooms that nobody here is in. Kafka knows them all. So does a shard, as long as it has passed
// over no record since: each room that got something is then there, and knows its last record.

// Changed are the rooms that got something since From and are not in Since, once the Join is
// done; false: only the topic can tell. The tapes hold all that these rooms got.
func (w *Watch) Changed() (names []string, ok bool) {
	if w.From == nil || w.unsure.Load() || w.stopped.Load() {
		return nil, false
	}
	return slices.Concat(w.changed...), true
}

// passOver notes that the shard has no room that had a record, or has it no more.
func (s *shard) passOver(p *Pattern, part int32, off int64) {
	if p.watch < 0 {
		return
	}
	list := s.passed[p.watch]
	for int(part) >= len(list) {
		list = append(list, -1)
	}
	list[part] = max(list[part], off)
	s.passed[p.watch] = list
}

// passOverAll notes that a room is no more.
func (s *shard) passOverAll(r *Room) {
	if r.pattern.watch < 0 {
		return
	}
	for _, p := range r.chain.all() {
		s.passOver(r.pattern, p.Partition, p.Offset)
	}
}

// began notes where reading a partition began: of what is before nothing is known.
func (s *shard) began(f *Feed, part int32, off int64) {
	list := s.begins[f.index]
	for int(part) >= len(list) {
		list = append(list, -1)
	}
	list[part] = off
	s.begins[f.index] = list
}

// forgetPassed is for a topic that was made anew.
func (s *shard) forgetPassed(f *Feed) {
	s.begins[f.index] = nil
	for _, p := range s.table.cfg.Catalog.patterns {
		if p.Feed == f && p.watch >= 0 {
			s.passed[p.watch] = nil
		}
	}
}

// changed looks for the shard's part of Watch.Changed; false: it cannot tell, or a room's tape
// does not reach back to From.
func (s *shard) changed(w *Watch, g *watched) (names []string, ok bool) {
	state := s.state(w.Pattern.Feed)
	if state == nil || w.From.Epoch != state.epoch {
		return nil, false
	}
	have := before(s.levelAt(w.Pattern.Feed, state).Offsets)
	for i := range have {
		part := have[i].Partition
		if o := w.From.of(part); o != nil {
			have[i].Offset = max(o.Offset, -1)
		}
		missed := max(heldAt(s.begins[w.Pattern.Feed.index], part), heldAt(s.passed[w.Pattern.watch], part))
		if at := have[i].Offset; at < missed || at > state.off[part] { // or its client comes from a node that is ahead
			return nil, false
		}
	}
	unheard := func(o Pos) bool { return int(o.Partition) >= len(state.off) }
	if len(have) == 0 || slices.ContainsFunc(w.From.Offsets, unheard) {
		return nil, false
	}
	for r := range g.rooms {
		if _, named := w.Since[r.name]; named || !r.chain.beyond(have) {
			continue
		}
		// That the place is too old for a conflated room's last values is no news to Kafka.
		_, how, err := s.resume(r, *w.From)
		if err == nil && how.Recall {
			return nil, false
		}
		names = append(names, r.name)
	}
	lost := func(l Pos) bool { return !within(have, l.Partition, l.Offset) }
	return names, !slices.ContainsFunc(s.lost[w.Pattern.Feed.index], lost)
}

func heldAt(list []int64, part int32) int64 {
	if int(part) < len(list) {
		return list[part]
	}
	return -1
}
