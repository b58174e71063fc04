package worker

import (
	"slices"

	"tapecast/bench/job"
)

// tally follows the message numbers of one feed that each client gets. It knows which
// it should get (job.Assignment). It belongs to one loop.
type tally struct {
	assignment *job.Assignment
	mine       []int32 // by client: its streams. nil: all have all
	next       []int64 // by client and stream: how many messages of the stream came or were passed over
	holes      map[int][]span
	away       map[int][]span // what a client is not owed, since it was away; it may get some at the ends

	unique, late, doubled, foreign int64
	absent                         int64 // not received and not owed, as far as known
}

// span is a range of messages of a stream that a client has missed so far, [from, to).
type span struct{ from, to int64 }

// newTally returns a tally of clients, whose numbers start at first.
func newTally(clients int, d *job.Assignment, first int) *tally {
	d.Prepare()
	t := &tally{assignment: d, holes: map[int][]span{}, away: map[int][]span{}}
	if d.Each > 0 {
		for i := range clients {
			t.mine = d.StreamsOf(t.mine, first+i)
		}
	}
	t.next = make([]int64, clients*d.PerClient())
	return t
}

// at returns the index at which stream s of client i is counted, or -1 if the client lacks it.
func (t *tally) at(i int, s int64) int {
	each := t.assignment.PerClient()
	if t.mine == nil {
		return i*each + int(s)
	}
	if k := slices.Index(t.mine[i*each:(i+1)*each], int32(s)); k >= 0 {
		return i*each + k
	}
	return -1
}

// stream returns the k-th stream of client i.
func (t *tally) stream(i, k int) int64 {
	if t.mine == nil {
		return int64(k)
	}
	return int64(t.mine[i*t.assignment.Each+k])
}

// got counts message n at client i.
func (t *tally) got(i int, n int64) {
	at, j := i, n
	if t.assignment.Streams > 1 {
		var s int64
		s, j = t.assignment.Of(n)
		if at = t.at(i, s); at < 0 {
			t.foreign++ // another client's
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

// gotSlow counts an unexpected message, number j of a stream. It leaves a hole before it,
// fills a hole (late: out of order), was published about when the client came back, or
// is a double.
func (t *tally) gotSlow(at int, j int64) {
	if next := t.next[at]; j > next {
		t.holes[at] = append(t.holes[at], span{next, j})
		t.next[at] = j + 1
		t.unique++
		return
	}
	in := func(s span) bool { return s.from <= j && j < s.to }
	if k := slices.IndexFunc(t.away[at], in); k >= 0 {
		a := &t.away[at][k]
		t.absent += j - a.from // the messages before the first one that it got
		a.from = j + 1
		t.unique++
		return
	}
	hs := t.holes[at]
	if k := slices.IndexFunc(hs, in); k >= 0 {
		h := hs[k]
		var rest []span
		if h.from < j {
			rest = append(rest, span{h.from, j})
		}
		if j+1 < h.to {
			rest = append(rest, span{j + 1, h.to})
		}
		t.holes[at] = slices.Concat(hs[:k], rest, hs[k+1:])
		t.late++
		t.unique++
		return
	}
	t.doubled++
}

// back handles client i coming back without resuming. It is not owed what it lacks of the
// first total messages. It may get the last of them, because the gateway let it in before
// we heard of that.
func (t *tally) back(i int, total int64) {
	each := t.assignment.PerClient()
	for k := range each {
		at := i*each + k
		if to := t.assignment.Length(total, t.stream(i, k)); to > t.next[at] {
			t.settle(at)
			t.away[at] = []span{{t.next[at], to}}
			t.next[at] = to
		}
	}
}

// settle counts as absent what can't come any more.
func (t *tally) settle(at int) {
	for _, a := range t.away[at] {
		t.absent += a.to - a.from
	}
	delete(t.away, at)
}

// want returns how many of a run's total messages client i should get.
func (t *tally) want(i int, total int64) int64 {
	if t.assignment.Each == 0 {
		return total
	}
	var n int64
	for k := range t.assignment.Each {
		n += t.assignment.Length(total, t.stream(i, k))
	}
	return n
}

// lost returns how many of total messages client i should have got and has not.
func (t *tally) lost(i int, total int64) int64 {
	each := t.assignment.PerClient()
	var lost int64
	for k := range each {
		at := i*each + k
		lost += max(0, t.assignment.Length(total, t.stream(i, k))-t.next[at])
		for _, h := range t.holes[at] {
			lost += h.to - h.from
		}
	}
	return lost
}
