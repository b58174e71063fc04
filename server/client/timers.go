package client

import (
	"container/heap"
	"time"
)

// timer calls a function once, on the client's goroutine. at is -1 when it does not run.
type timer struct {
	due   time.Time
	order uint64 // of those that are due at one moment
	f     func()
	at    int
}

// timers are those that run, the next one first.
type timers struct {
	list []*timer
	made uint64
}

func (t *timers) add(due time.Time, f func()) *timer {
	t.made++
	one := &timer{due: due, order: t.made, f: f}
	heap.Push(t, one)
	return one
}

// stop stops a timer, if there is one and it runs.
func (t *timers) stop(one *timer) {
	if one != nil && one.at >= 0 {
		heap.Remove(t, one.at)
	}
}

// next returns the first timer that is due, and takes it off.
func (t *timers) next(now time.Time) *timer {
	if len(t.list) == 0 || t.list[0].due.After(now) {
		return nil
	}
	return heap.Pop(t).(*timer)
}

// Len implements heap.Interface.
func (t *timers) Len() int { return len(t.list) }

// Less implements heap.Interface.
func (t *timers) Less(i, j int) bool {
	a, b := t.list[i], t.list[j]
	if a.due.Equal(b.due) {
		return a.order < b.order
	}
	return a.due.Before(b.due)
}

// Swap implements heap.Interface.
func (t *timers) Swap(i, j int) {
	t.list[i], t.list[j] = t.list[j], t.list[i]
	t.list[i].at, t.list[j].at = i, j
}

// Push implements heap.Interface.
func (t *timers) Push(v any) {
	one := v.(*timer)
	one.at = len(t.list)
	t.list = append(t.list, one)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(t.list) - 1
	one := t.list[last]
	one.at = -1
	t.list[last] = nil
	t.list = t.list[:last]
	return one
}
