package bench

// tally follows the message numbers that each client gets. The messages of a
// run form streams (one for each room or key, within which order is promised):
// message n belongs to stream n modulo streams. It belongs to one loop.
type tally struct {
	streams int64
	own     bool    // client i gets stream i alone; else all get all
	first   int     // with own: the stream of client 0
	next    []int64 // by client and stream: how many messages of the stream came or were passed over
	holes   map[int][]span

	unique, late, doubled, foreign int64
}

// span is what a client has missed of a stream, [from, to), so far.
type span struct{ from, to int64 }

func newTally(clients int, streams int64, own bool, first int) *tally {
	t := &tally{streams: max(streams, 1), own: own, first: first, holes: map[int][]span{}}
	each := 1
	if !own {
		each = int(t.streams)
	}
	t.next = make([]int64, clients*each)
	return t
}

// got counts message n at client i.
func (t *tally) got(i int, n int64) {
	at, j := i, n
	if t.streams > 1 {
		s := n % t.streams
		j = n / t.streams
		if !t.own {
			at = i*int(t.streams) + int(s)
		} else if s != int64(i+t.first) {
			t.foreign++ // somebody else's
			return
		}
	}
	if t.next[at] == j {
		t.next[at]++
		t.unique++
		return
	}
	t.gotSlow(at, j)
}

// gotSlow counts message j of a stream that isn't the one expected: it leaves
// a hole before it, fills a hole (late: out of order), or is there already.
func (t *tally) gotSlow(at int, j int64) {
	if next := t.next[at]; j > next {
		t.holes[at] = append(t.holes[at], span{next, j})
		t.next[at] = j + 1
		t.unique++
		return
	}
	hs := t.holes[at]
	for k, h := range hs {
		if j < h.from || j >= h.to {
			continue
		}
		var rest []span
		if h.from < j {
			rest = append(rest, span{h.from, j})
		}
		if j+1 < h.to {
			rest = append(rest, span{j + 1, h.to})
		}
		t.holes[at] = append(append(append([]span{}, hs[:k]...), rest...), hs[k+1:]...)
		t.late++
		t.unique++
		return
	}
	t.doubled++
}

// want returns how many of a run's total messages client i gets.
func (t *tally) want(i int, total int64) int64 {
	if !t.own {
		return total
	}
	return streamLen(total, t.streams, int64(i+t.first))
}

// lost returns how many of total messages client i hasn't got.
func (t *tally) lost(i int, total int64) int64 {
	each, first := int(t.streams), int64(0)
	if t.own {
		each, first = 1, int64(i+t.first)
	}
	var lost int64
	for s := range each {
		at := i*each + s
		lost += max(0, streamLen(total, t.streams, first+int64(s))-t.next[at])
		for _, h := range t.holes[at] {
			lost += h.to - h.from
		}
	}
	return lost
}

// streamLen returns how many of the numbers below total fall to stream s.
func streamLen(total, streams, s int64) int64 {
	if total <= s {
		return 0
	}
	return (total-s-1)/streams + 1
}
