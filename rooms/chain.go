package rooms

import "slices"

// chain remembers the last offset that a room got from each partition, which
// is what `prev` of the next message says. Most private rooms live on one
// partition, so the first is held in place.
type chain struct {
	part int32
	used bool
	// empty is the Room's, and here because there is space for it: a join has made the
	// room, and it does not count for its pattern's MaxRooms.
	empty bool
	off   int64
	more  *[]Pos
}

// last is the offset of the room's message before this one; ok is false where
// the room does not know.
func (c *chain) last(part int32) (off int64, ok bool) {
	if c.used && c.part == part {
		return c.off, true
	}
	if c.more != nil {
		for _, p := range *c.more {
			if p.Partition == part {
				return p.Offset, true
			}
		}
	}
	return 0, false
}

func (c *chain) set(part int32, off int64) {
	if !c.used {
		// A free first place does not mean that the partition is new.
		if c.more == nil || !setIn(*c.more, part, off) {
			c.part, c.off, c.used = part, off, true
		}
		return
	}
	if c.part == part {
		c.off = off
		return
	}
	if c.more == nil {
		c.more = new([]Pos)
	}
	if !setIn(*c.more, part, off) {
		*c.more = append(*c.more, Pos{part, off})
	}
}

func setIn(list []Pos, part int32, off int64) bool {
	for i := range list {
		if list[i].Partition == part {
			list[i].Offset = off
			return true
		}
	}
	return false
}

// forget makes the partition's last offset unknown.
func (c *chain) forget(part int32) {
	if c.used && c.part == part {
		c.used = false
	}
	if c.more == nil {
		return
	}
	for i, p := range *c.more {
		if p.Partition == part {
			*c.more = append((*c.more)[:i], (*c.more)[i+1:]...)
			return
		}
	}
}

// beyond reports whether the room got something that is not in have.
func (c *chain) beyond(have []Pos) bool {
	if c.used && !within(have, c.part, c.off) {
		return true
	}
	return c.more != nil && slices.ContainsFunc(*c.more, func(p Pos) bool { return !within(have, p.Partition, p.Offset) })
}

// all is a copy of every partition's last offset.
func (c *chain) all() []Pos {
	var list []Pos
	if c.used {
		list = append(list, Pos{c.part, c.off})
	}
	if c.more != nil {
		list = append(list, *c.more...)
	}
	return list
}
