package member

import (
	"container/heap"
	"time"
)

// delays holds the members that are to be sent nothing before their time, the next one first.
// The loop's wheel would do, but for its ticks: half of what lies between two of ten sends a
// second.
type delays []*Extra

// Len, Less, Swap, Push and Pop make it a heap.Interface.
func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delays) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i+1, j+1
}

// Push is heap's.
func (d *delays) Push(v any) {
	x := v.(*Extra)
	*d = append(*d, x)
	x.index = len(*d)
}

// Pop is heap's.
func (d *delays) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	x.index, (*d)[last] = 0, nil
	*d = (*d)[:last]
	return x
}

// delay has the client woken when the member is due.
func (r *Rules) delay(x *Extra) {
	if x.index > 0 {
		heap.Fix(&r.delays, x.index-1)
		return
	}
	heap.Push(&r.delays, x)
}

// tooSoon reports whether the member may not be sent anything yet, and sees to it that its
// client is woken when it may.
func (r *Rules) tooSoon(x *Extra) bool {
	if x.every == 0 || x.walk == walkSnapshot || x.walk == walkResume || r.Now() >= x.due {
		return false
	}
	if x.index == 0 {
		r.delay(x)
	}
	return true
}

// WakeDue wakes the clients of members that may be sent something again.
func (r *Rules) WakeDue() {
	if len(r.delays) == 0 {
		return
	}
	for now := r.Now(); len(r.delays) > 0 && r.delays[0].due <= now; {
		heap.Pop(&r.delays).(*Extra).client.Wake()
	}
}

// UntilDue is how long it takes until WakeDue has something to do; ok: there is something.
func (r *Rules) UntilDue(now time.Duration) (left time.Duration, ok bool) {
	if len(r.delays) == 0 {
		return 0, false
	}
	return max(0, r.delays[0].due-now), true
}
