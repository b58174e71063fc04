package rooms

import "slices"

// Changed returns the rooms that have a message after From and are not in Since. It is valid once
// the Join is done. The tapes hold all those messages. ok is false if only the topic can tell.
func (w *Watch) Changed() (names []string, ok bool) {
	if w.From == nil || w.unsure.Load() || w.stopped.Load() {
		return nil, false
	}
	return slices.Concat(w.changed...), true
}

// passOver notes that the shard does not have, or no longer has, the room of a record.
func (s *shard) passOver(p *Pattern, part int32, off int64) {
	if p.watchIndex < 0 {
		return
	}
	list := withPart(s.passed[p.watchIndex], part)
	list[part] = max(list[part], off)
	s.passed[p.watchIndex] = list
}

// withPart returns the list with an offset for the partition, which is -1 at first.
func withPart(list []int64, part int32) []int64 {
	for int(part) >= len(list) {
		list = append(list, -1)
	}
	return list
}

// passOverAll does so for all records of a room that is being removed.
func (s *shard) passOverAll(r *Room) {
	if r.pattern.watchIndex < 0 {
		return
	}
	for _, p := range r.chain.all() {
		s.passOver(r.pattern, p.Partition, p.Offset)
	}
}

// began notes where reading a partition began. Nothing is known of earlier records.
func (s *shard) began(f *Feed, part int32, off int64) {
	list := withPart(s.begins[f.index], part)
	list[part] = off
	s.begins[f.index] = list
}

// forgetPassed is called when a topic was created again.
func (s *shard) forgetPassed(f *Feed) {
	s.begins[f.index] = nil
	for _, p := range s.table.cfg.Catalog.patterns {
		if p.Feed == f && p.watchIndex >= 0 {
			s.passed[p.watchIndex] = nil
		}
	}
}

// changed returns the shard's part of Watch.Changed. ok is false if the shard cannot tell, or if a
// room's tape does not reach back to From.
func (s *shard) changed(w *Watch, g *watchSet) (names []string, ok bool) {
	state := s.state(w.Pattern.Feed)
	if state == nil || w.From.Epoch != state.epoch {
		return nil, false
	}
	have := w.From.Of(s.levelAt(w.Pattern.Feed, state).Offsets)
	for i := range have {
		part := have[i].Partition
		missed := max(heldAt(s.begins[w.Pattern.Feed.index], part), heldAt(s.passed[w.Pattern.watchIndex], part))
		if at := have[i].Offset; at < missed || at > state.off[part] { // or the client comes from a node that is ahead
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
		// Positions that are too old for a conflated room's last values are too old for Kafka as
		// well.
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
