package e2e

import "fmt"

// taken is a snapshot: where it ended, and the position of each key's newest frame.
type taken struct {
	at     map[int32]int64
	values map[string]int64
}

// room is what a client knows of one of its rooms since the join. It notes everything that
// the protocol does not allow.
type room struct {
	name   string
	chain  bool // a break of the chain is a fault
	joined positions
	left   *positions // nil: it has not left

	epoch  string
	seen   map[int32]int64 // everything up to here was seen: from the join, frames, positions notices
	last   map[int32]int64 // the last frame's offset
	frames []frame
	gaps   int
	resets int
	bare   int  // frames without the one before
	missed bool // a gap comes first, from the client's last position

	snapping bool             // between snapshot_begin and snapshot_end
	taken    []taken          // snapshots that have ended
	values   map[string]frame // the newest frame of each key; a tombstone removes it

	faults []string
}

func newRoom(name string, at positions, chain bool) *room {
	r := &room{name: name, joined: at, chain: chain, values: map[string]frame{}}
	r.begin(at)
	return r
}

func (r *room) begin(at positions) {
	r.epoch = at.epoch
	r.seen, r.last = map[int32]int64{}, map[int32]int64{}
	for p, off := range at.at {
		r.seen[p] = off
	}
}

func (r *room) fault(format string, args ...any) {
	r.faults = append(r.faults, r.name+": "+fmt.Sprintf(format, args...))
}

// data takes a frame and compares it with all frames before.
func (r *room) data(f frame) {
	if r.missed {
		r.fault("frame %d:%d before the gap", f.part, f.off)
	}
	if r.left != nil {
		r.fault("frame %d:%d after the leave", f.part, f.off)
	}
	if seen, ok := r.seen[f.part]; ok && f.off <= seen && !r.snapping {
		r.fault("frame %d:%d, though all up to %d was seen", f.part, f.off, seen)
	}
	r.keep(f)
	if r.snapping { // in the order of updates, over all partitions
		r.frames = append(r.frames, f)
		return
	}
	last, had := r.last[f.part]
	switch {
	case !r.chain:
	case had && f.prev == noPrev && r.bare < 12: // a part of the past was read again, and starts here
		r.bare++
	case had && f.prev != last:
		r.fault("frame %d:%d has prev %d, the frame before it was %d", f.part, f.off, f.prev, last)
	case !had && f.prev != noPrev && f.prev > r.seenAt(f.part):
		r.fault("frame %d:%d has prev %d, past what had been seen, %d", f.part, f.off, f.prev, r.seenAt(f.part))
	}
	r.seen[f.part], r.last[f.part] = f.off, f.off
	r.frames = append(r.frames, f)
}

// keep makes the frame the newest of its key.
func (r *room) keep(f frame) {
	if old, ok := r.values[f.key]; ok && f.key != "" && old.part == f.part && f.off <= old.off {
		r.fault("%d:%d of key %q after %d:%d", f.part, f.off, f.key, old.part, old.off)
	}
	if r.values[f.key] = f; string(f.data) == "null" {
		delete(r.values, f.key)
	}
}

// snapshot takes snapshot_begin, or with positions snapshot_end.
func (r *room) snapshot(end *positions) {
	if r.snapping == (end == nil) {
		r.fault("a snapshot begins or ends twice")
	}
	if r.snapping = end == nil; r.snapping {
		clear(r.values)
		return
	}
	r.taken = append(r.taken, taken{end.at, newestOf(r.values)})
	for _, f := range r.values {
		if off, ok := end.at[f.part]; !ok || f.off > off {
			r.fault("%d:%d was in the snapshot of %v", f.part, f.off, end.at)
		}
	}
	r.joined = *end
	r.begin(*end)
}

// seenAt returns the last offset that was seen of a partition, or -1 if the partition is
// younger than the join.
func (r *room) seenAt(part int32) int64 {
	if off, ok := r.seen[part]; ok {
		return off
	}
	return -1
}

// level takes a positions notice, or the positions of a leave.
func (r *room) level(at positions) {
	if r.epoch == "" { // joined before the topic existed
		r.epoch = at.epoch
	}
	if at.epoch != r.epoch {
		r.fault("positions of epoch %q in epoch %q", at.epoch, r.epoch)
	}
	for p, off := range at.at {
		if off < r.seenAt(p) {
			r.fault("positions say %d:%d, though %d was seen", p, off, r.seen[p])
			continue
		}
		r.seen[p] = off
	}
}

// gap takes a notice that messages after from and up to to were not sent.
func (r *room) gap(from, to positions) {
	r.gaps++
	for p, off := range to.at {
		if off < r.seenAt(p) {
			r.fault("gap to %d:%d, though %d was seen", p, off, r.seen[p])
		}
		if f, ok := from.at[p]; ok && f > r.seenAt(p) && !r.missed {
			r.fault("gap from %d:%d, past what was seen, %d: a loss before it", p, f, r.seenAt(p))
		}
		if last, ok := r.last[p]; ok && off > last {
			delete(r.last, p)
		}
		r.seen[p] = max(off, r.seenAt(p))
	}
	r.missed = false
}

// reset takes a notice that the topic was created again.
func (r *room) reset(epoch string) {
	r.resets++
	if epoch == "" || epoch == r.epoch {
		r.fault("reset from epoch %q to %q", r.epoch, epoch)
	}
	clear(r.values) // their offsets mean nothing now
	r.begin(positions{epoch: epoch})
}

// from returns the offset in a partition at which the membership began.
func (r *room) from(part int32) int64 {
	if off, ok := r.joined.at[part]; ok {
		return off
	}
	return -1
}

// in reports whether a record lies between the join and the leave.
func (r *room) in(part int32, off int64) bool {
	if off <= r.from(part) {
		return false
	}
	if r.left == nil {
		return true
	}
	end, ok := r.left.at[part]
	return ok && off <= end
}
