package loop

import (
	"slices"

	"tapecast/loop/member"
	"tapecast/rooms"
)

const (
	// manyMembers is up to how many members are searched one by one. Few clients have more. Theirs
	// are found through an index, which takes about 30 bytes each.
	manyMembers = 32
	// fewMembers is when the index is dropped. A client that leaves and joins the same room
	// repeatedly does not have it built each time.
	fewMembers = manyMembers / 2
)

// find returns the index of the member in the room, or -1 if there is none.
func (c *Conn) find(name string) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[name]; ok {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Room().Name() == name })
}

// memberIn returns the index of the member with that sub, or -1 if there is none.
func (c *Conn) memberIn(sub *rooms.Sub) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[sub.Room().Name()]; ok && c.members[k].Sub() == sub {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.members, func(t member.Member) bool { return t.Sub() == sub })
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

// dropMember removes member k. The last member moves to its index.
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
