package rooms

// keyframeRoom is how many times the bytes of its class a tape may take, so that it still begins
// with a keyframe.
const keyframeRoom = 4

// Keyframe returns the number of the newest keyframe that is published and still on the
// tape. ok is false if there is none.
func (r *Room) Keyframe() (at uint64, ok bool) {
	k := r.keyframe.Load()
	if k == 0 || k > r.head.Load() || k-1 < r.Tail() {
		return 0, false
	}
	return k - 1, true
}

// entry returns where a member without any frame starts: at the newest keyframe, or at the next
// frame.
func (s *shard) entry(r *Room) (at uint64, p Positions) {
	if at, ok := r.Keyframe(); ok && r.pattern.Keyframed {
		return at, s.table.PositionsAt(r, at)
	}
	f := r.pattern.Feed
	return r.next, s.levelAt(f, s.state(f))
}

// Entry returns where a member without any frame starts now: at the newest keyframe, or at the next
// frame. await reports whether the member must wait for a keyframe first. Any goroutine may call
// it.
func (t *Table) Entry(r *Room) (at uint64, p Positions, await bool) {
	at, ok := r.Keyframe()
	if !ok || !r.pattern.Keyframed {
		at, await = r.Head(), r.pattern.Keyframed
	}
	return at, t.PositionsAt(r, at), await
}

// needed returns how many of a tape's n oldest chunks may go. Chunks from the newest
// keyframe on stay, unless the tape has grown far too large.
func (r *Room) needed(n int) int {
	at, ok := r.Keyframe()
	if !ok || r.tape.cost > keyframeRoom*r.Class().retainBytes() {
		return n
	}
	dir := *r.tape.dir.Load()
	for n > 0 && dir[n-1].first+uint64(dir[n-1].n) > at {
		n--
	}
	return n
}

// Jump reports whether a member of a room with keyframes must continue at the newest one
// because it lags by more than its class allows.
func (r *Room) Jump(at uint64) bool {
	if !r.pattern.Keyframed {
		return false
	}
	k, ok := r.Keyframe()
	return ok && at < k && (at < r.Tail() || r.lacks(at, r.head.Load()) > r.Class().conflateBytes())
}

// lacks returns how many bytes lie between a frame that is still there and the head.
func (r *Room) lacks(at, head uint64) int64 {
	dir := *r.tape.dir.Load()
	if len(dir) == 0 || at >= head || at < dir[0].first {
		return 0
	}
	last := len(dir) - 1
	for dir[last].first >= head {
		last-- // nothing in this chunk is published yet
	}
	return dir[last].offset(head) - dir[find(dir, at)].offset(at)
}
