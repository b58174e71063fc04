package rooms

import "slices"

// chain holds the offset of the room's last message from each partition. It becomes `prev` of the
// next message. Most private rooms get their messages from one partition, so the first partition is
// stored inline.
type chain struct {
	part int32
	used bool
	// empty belongs to the Room and is stored here because there is space for it. A join has made
	// the room, and it does not count for its pattern's MaxRooms.
	empty bool
	off   int64
	more  *[]Pos
}

// last returns the offset of the room's last message from the partition. ok is false if it is not
// known.
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
		// The inline entry may be free although the partition is in the list.
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
	p := posOf(list, part)
	if p != nil {
		p.Offset = off
	}
	return p != nil
}

// forget makes the partition's last offset unknown.
func (c *chain) forget(part int32) {
	if c.used && c.part == part {
		c.used = false
	}
	if c.more != nil {
		*c.more = slices.DeleteFunc(*c.more, func(p Pos) bool { return p.Partition == part })
	}
}

// beyond reports whether the room has a message after the positions in have.
func (c *chain) beyond(have []Pos) bool {
	if c.used && !within(have, c.part, c.off) {
		return true
	}
	return c.more != nil && // in place: an appender asks this of each room of a wildcard
		slices.ContainsFunc(*c.more, func(p Pos) bool { return !within(have, p.Partition, p.Offset) })
}

// all returns the last offset of every partition.
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
