package loop

import (
	"slices"

	"tapecast/loop/member"
	"tapecast/rooms"
)

const (
	// manyMembers is up to how many members are looked through one by one. Few clients have
	// more, and theirs are found through an index: some 30 bytes each.
	manyMembers = 32
	// fewMembers is when the index goes again: a client that leaves and joins one room, again
	// and again, does not have it made each time.
	fewMembers = manyMembers / 2
)

// find is the index of the member in the room; -1: there is none.
func (c *Conn) find(name string) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[name]; ok {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Room().Name() == name })
}

// memberIn is the index of the member with that sub; -1: there is none.
func (c *Conn) memberIn(sub *rooms.Sub) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[sub.Room().Name()]; ok && c.members[k].Sub() == sub {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Sub() == sub })
}

// memberOf is the index of the member that took the seat; -1: it was not taken.
func (c *Conn) memberOf(s *rooms.Member) int {
	if s.Err != nil {
		return -1
	}
	return c.memberIn(s.Sub)
}

// addMember appends a member.
func (c *Conn) addMember(m member.Member) *member.Member {
	c.members = append(c.members, m)
	n := len(c.members)
	added := &c.members[n-1]
	if x := c.extras; x != nil && x.index != nil {
		x.index[m.Room().Name()] = int32(n - 1)
		return added
	}
	if n <= manyMembers {
		return added
	}
	index := make(map[string]int32, cap(c.members))
	for k := range c.members {
		index[c.members[k].Room().Name()] = int32(k)
	}
	c.extrasOf().index = index
	return added
}

// dropMember takes member k off; the last one takes its place.
func (c *Conn) dropMember(k int) member.Member {
	t, last := c.members[k], len(c.members)-1
	c.members[k] = c.members[last]
	c.members[last] = member.Member{}
	if x := c.extras; x != nil && x.index != nil {
		delete(x.index, t.Room().Name())
		if k < last {
			x.index[c.members[k].Room().Name()] = int32(k)
		}
		if last < fewMembers {
			x.index = nil
			c.tidy()
		}
	}
	c.members = c.members[:last]
	return t
}
