package rooms

import "hash/maphash"

// index finds a shard's rooms by name. Buckets are linked through the rooms themselves. That takes
// 8 to 16 bytes a room, where a map of strings takes about 40.
type index struct {
	seed    maphash.Seed
	buckets []*Room
	n       int
}

func newIndex() index {
	return index{seed: maphash.MakeSeed(), buckets: make([]*Room, 16)}
}

func (x *index) bucket(hash uint64) **Room { return &x.buckets[hash&uint64(len(x.buckets)-1)] }

func (x *index) find(name []byte) *Room {
	r := *x.bucket(maphash.Bytes(x.seed, name))
	for r != nil && r.name != string(name) {
		r = r.after
	}
	return r
}

func (x *index) findString(name string) *Room {
	r := *x.bucket(maphash.String(x.seed, name))
	for r != nil && r.name != name {
		r = r.after
	}
	return r
}

func (x *index) add(r *Room) {
	if x.n == len(x.buckets) {
		x.grow()
	}
	b := x.bucket(maphash.String(x.seed, r.name))
	r.after, *b = *b, r
	x.n++
}

func (x *index) remove(r *Room) {
	for at := x.bucket(maphash.String(x.seed, r.name)); *at != nil; at = &(*at).after {
		if *at == r {
			*at, r.after = r.after, nil
			x.n--
			return
		}
	}
	panic("BUG: " + r.name + " is not in the index")
}

func (x *index) grow() {
	old := x.buckets
	x.buckets = make([]*Room, 2*len(old))
	for _, r := range old {
		for r != nil {
			next := r.after
			b := x.bucket(maphash.String(x.seed, r.name))
			r.after, *b = *b, r
			r = next
		}
	}
}

// each calls visit for the rooms of one bucket. visit may remove the room that it is given.
func (x *index) each(bucket int, visit func(*Room)) {
	for r := x.buckets[bucket]; r != nil; {
		next := r.after
		visit(r)
		r = next
	}
}
