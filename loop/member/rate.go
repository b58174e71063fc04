package member

import (
	"container/heap"
	"time"
)

// delays holds the members that must be sent nothing before their time, the next one first. The
// loop's wheel is too coarse: its ticks are half of the time between two sends at ten a second.
type delays []*Extra

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delays) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i+1, j+1
}

// Push is for package heap.
func (d *delays) Push(v any) {
	x := v.(*Extra)
	*d = append(*d, x)
	x.index = len(*d)
}

// Pop is for package heap.
func (d *delays) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	x.index, (*d)[last] = 0, nil
	*d = (*d)[:last]
	return x
}

// delay makes WakeDue wake the client when the member is due.
func (r *Rules) delay(x *Extra) {
	if x.index > 0 {
		heap.Fix(&r.delays, x.index-1)
		return
	}
	heap.Push(&r.delays, x)
}

// tooSoon reports whether the member may not be sent anything yet. If so, it makes WakeDue wake the
// client in time.
func (r *Rules) tooSoon(x *Extra) bool {
	if x.every == 0 || x.walk == walkSnapshot || x.walk == walkResume || r.Now() >= x.due {
		return false
	}
	if x.index == 0 {
		r.delay(x)
	}
	return true
}

// WakeDue wakes the clients of members that are due.
func (r *Rules) WakeDue() {
	if len(r.delays) == 0 {
		return
	}
	for now := r.Now(); len(r.delays) > 0 && r.delays[0].due <= now; {
		heap.Pop(&r.delays).(*Extra).client.Wake()
	}
}

// UntilDue returns how long it takes until a member is due. ok is false if no member waits.
func (r *Rules) UntilDue(now time.Duration) (left time.Duration, ok bool) {
	if len(r.delays) == 0 {
		return 0, false
	}
	return max(0, r.delays[0].due-now), true
}
