package rooms

// refs lists the frames of its shard's journal that belong to a private room. Entries below the
// room's published head never change.
type refs struct {
	first uint64   // the room's number of nums[0]
	nums  []uint64 // numbers in the journal; as long as there is space for
}

// addRef makes the journal's frame num the room's next one.
func (r *Room) addRef(num uint64) {
	next, tail := r.next, r.tape.tailNow()
	list := r.refs.Load()
	if list == nil {
		list = &refs{first: next, nums: make([]uint64, 1)}
		r.refs.Store(list)
	}
	i := int(next - list.first)
	if i == len(list.nums) {
		gone := 0
		for gone < i && list.nums[gone] < tail {
			gone++
		}
		live := i - gone
		grown := &refs{first: list.first + uint64(gone), nums: make([]uint64, max(2*live, 1))}
		copy(grown.nums, list.nums[gone:])
		r.refs.Store(grown)
		list, i = grown, live
	}
	list.nums[i] = num
	r.next++
}

// forgetRefs drops the list once the journal has dropped all its frames. It reports whether no
// frame is left.
func (r *Room) forgetRefs() bool {
	list := r.refs.Load()
	if list == nil {
		return true
	}
	if n := int(r.next - list.first); n > 0 && list.nums[n-1] >= r.tape.tailNow() {
		return false
	}
	r.refs.Store(nil)
	return true
}

// cutRefs is Cut for a private room. Each frame is a piece of its own, since frames of other rooms
// lie in between.
func (r *Room) cutRefs(at, head uint64, max int, dst []Piece) (next uint64, pieces []Piece, lagged bool) {
	list := r.refs.Load()
	if list == nil || at < list.first {
		return at, dst, true
	}
	dir := *r.tape.dir.Load()
	if len(dir) == 0 || list.nums[at-list.first] < dir[0].first {
		return at, dst, true
	}
	for n := 0; at < head && max > 0 && n < maxPieces; n++ {
		num := list.nums[at-list.first]
		i := find(dir, num)
		c := dir[i]
		k := int(num - c.first)
		p := Piece{Bytes: c.buf[c.start(k):c.at[k].end], first: at, c: c, from: k, to: k + 1}
		dst = append(dst, p)
		max -= len(p.Bytes)
		at++
	}
	return at, dst, false
}
