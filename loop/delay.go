package loop

import (
	"container/heap"
	"time"
)

// delays holds the seats of a loop that are to be sent nothing before their
// time, the next one first. The wheel would do, but for its ticks: half of what
// lies between two of ten sends a second.
type delays []*special

// Len, Less, Swap, Push and Pop make it a heap.Interface.
func (d delays) Len() int           { return len(d) }
func (d delays) Less(i, j int) bool { return d[i].due < d[j].due }
func (d delays) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}

// Push is heap's.
func (d *delays) Push(v any) {
	x := v.(*special)
	*d = append(*d, x)
	x.place = len(*d)
}

// Pop is heap's.
func (d *delays) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	x.place, (*d)[last] = 0, nil
	*d = (*d)[:last]
	return x
}

// tooSoon says whether the seat may not be sent anything yet, and sees to it that
// its connection is looked at when it may.
func (l *Loop) tooSoon(x *special) bool {
	if x.every == 0 || x.walk == walkSnapshot || x.walk == walkResume || l.engine.now() >= x.due {
		return false
	}
	if x.place == 0 {
		heap.Push(&l.delays, x)
	}
	return true
}

// turnDelays has the connections flushed whose seats may be sent something again.
func (l *Loop) turnDelays() {
	if len(l.delays) == 0 {
		return
	}
	for now := l.engine.now(); len(l.delays) > 0 && l.delays[0].due <= now; {
		l.ready.add(heap.Pop(&l.delays).(*special).conn)
	}
}

// restFor is how many milliseconds the loop may sleep.
func (l *Loop) restFor() int {
	now := l.engine.now()
	l.looked = now
	ms := l.wheel.wait(now)
	if len(l.delays) > 0 {
		left := max(0, l.delays[0].due-now)
		ms = min(ms, int((left+time.Millisecond-1)/time.Millisecond))
	}
	return ms
}
