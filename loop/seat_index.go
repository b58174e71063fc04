package loop

import (
	"slices"

	"tapecast/rooms"
)

const (
	// manySeats is up to how many seats are looked through one by one. Few clients have
	// more, and theirs are found through an index: some 30 bytes a seat.
	manySeats = 32
	// fewSeats is when the index goes again: a client that leaves and joins one room, again
	// and again, does not have it made each time.
	fewSeats = manySeats / 2
)

// find is the index of the seat in the room; -1: there is none.
func (c *Conn) find(name string) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[name]; ok {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.seats, func(t seat) bool { return t.sub.Room().Name() == name })
}

// seatIn is the index of the seat with that sub; -1: there is none.
func (c *Conn) seatIn(sub *rooms.Sub) int {
	if x := c.extras; x != nil && x.index != nil {
		if k, ok := x.index[sub.Room().Name()]; ok && c.seats[k].sub == sub {
			return int(k)
		}
		return -1
	}
	return slices.IndexFunc(c.seats, func(t seat) bool { return t.sub == sub })
}

// seatOf is the index of the seat that was given; -1: it was not taken.
func (c *Conn) seatOf(s *rooms.Seat) int {
	if s.Err != nil {
		return -1
	}
	return c.seatIn(s.Sub)
}

// addSeat appends a seat.
func (c *Conn) addSeat(t seat) {
	c.seats = append(c.seats, t)
	n := len(c.seats)
	if x := c.extras; x != nil && x.index != nil {
		x.index[t.sub.Room().Name()] = int32(n - 1)
		return
	}
	if n <= manySeats {
		return
	}
	index := make(map[string]int32, cap(c.seats))
	for k := range c.seats {
		index[c.seats[k].sub.Room().Name()] = int32(k)
	}
	c.extrasOf().index = index
}

// dropSeat takes seat k off; the last one takes its place.
func (c *Conn) dropSeat(k int) seat {
	t, last := c.seats[k], len(c.seats)-1
	c.seats[k] = c.seats[last]
	c.seats[last] = seat{}
	if x := c.extras; x != nil && x.index != nil {
		delete(x.index, t.sub.Room().Name())
		if k < last {
			x.index[c.seats[k].sub.Room().Name()] = int32(k)
		}
		if last < fewSeats {
			x.index = nil
			c.tidy()
		}
	}
	c.seats = c.seats[:last]
	return t
}
