package loop

import "time"

// tick is a time in steps of 100 ms since the engine was made. 0 is never.
type tick uint32

const tickLen = 100 * time.Millisecond

func ticks(d time.Duration) tick { return tick((d + tickLen - 1) / tickLen) }

// wheelSlots is how far the wheel reaches: 51.2 s. A connection that is due later is put into the
// last slot, and checked again then.
const wheelSlots = 512

// wheel holds the connections of a loop by the time of their next deadline.
// Each is in one slot at most, linked through itself.
type wheel struct {
	slots [wheelSlots]*Conn
	at    tick // all slots up to this one have been emptied
}

func (w *wheel) init() { w.at = 1 }

func (w *wheel) put(c *Conn, due tick) {
	w.remove(c)
	due = max(due, w.at+1)
	due = min(due, w.at+wheelSlots-1)
	i := due % wheelSlots
	c.slot, c.prev, c.next = int16(i), nil, w.slots[i]
	if c.next != nil {
		c.next.prev = c
	}
	w.slots[i] = c
}

func (w *wheel) remove(c *Conn) {
	if c.slot < 0 {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.slot] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.slot, c.prev, c.next = -1, nil, nil
}

// wait returns how many milliseconds are left until the next tick.
func (w *wheel) wait(now time.Duration) int {
	left := time.Duration(w.at+1)*tickLen - now
	return int(max(0, left+time.Millisecond-1) / time.Millisecond)
}

// advance calls fire for every connection that is due by now.
func (w *wheel) advance(now tick, fire func(*Conn)) {
	for w.at < now {
		w.at++
		for {
			c := w.slots[w.at%wheelSlots]
			if c == nil {
				break
			}
			w.remove(c)
			fire(c)
		}
	}
}
