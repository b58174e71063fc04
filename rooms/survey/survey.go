package survey

import (
	"container/heap"
	"context"
	"slices"
	"sync"
)

// Survey is a question to one goroutine. It is asked only once at a time: callers that ask
// meanwhile get the same answer. The zero value is ready, and any goroutine may use it.
type Survey[T any] struct {
	mu   sync.Mutex
	done chan struct{} // closed with the answer; nil: the question is not on its way
	last T
}

// Ask returns a channel that is closed with the answer. If the question is not on its way yet, it
// calls begin, which sends it and reports whether the goroutine still runs.
func (s *Survey[T]) Ask(begin func() bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		done := make(chan struct{})
		if !begin() {
			close(done)
			return done
		}
		s.done = done
	}
	return s.done
}

// Answer is called by the goroutine at the end of its walk. It does not block.
func (s *Survey[T]) Answer(found T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = found
	close(s.done)
	s.done = nil
}

// Last returns the last answer, and the zero value before there was one.
func (s *Survey[T]) Last() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Take returns the last answer and forgets it.
func (s *Survey[T]) Take() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none, last T
	last, s.last = s.last, none
	return last
}

// Await waits until done or gone is closed or ctx ends. It reports whether done or gone is closed.
// gone is closed when the goroutine has ended; it may be nil.
func Await(ctx context.Context, done, gone <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-gone:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done: // both were
		return true
	default:
		return false
	}
}

// Top keeps the greatest values of those added to it. It may be used by one goroutine at a time.
type Top[T any] struct {
	most int
	kept order[T]
}

// NewTop returns a Top that keeps the given number of values, at least one. compare is as for
// slices.SortFunc.
func NewTop[T any](most int, compare func(a, b T) int) *Top[T] {
	return &Top[T]{most: max(most, 1), kept: order[T]{compare: compare}}
}

// Add takes v if it is among the greatest so far.
func (t *Top[T]) Add(v T) {
	switch {
	case len(t.kept.list) < t.most:
		heap.Push(&t.kept, v)
	case t.kept.compare(v, t.kept.list[0]) > 0:
		t.kept.list[0] = v
		heap.Fix(&t.kept, 0)
	}
}

// List returns the kept values, the greatest first.
func (t *Top[T]) List() []T {
	list := slices.Clone(t.kept.list)
	slices.SortFunc(list, func(a, b T) int { return t.kept.compare(b, a) })
	return list
}

// order is a heap with the least value first.
type order[T any] struct {
	list    []T
	compare func(a, b T) int
}

func (o *order[T]) Len() int           { return len(o.list) }
func (o *order[T]) Less(i, j int) bool { return o.compare(o.list[i], o.list[j]) < 0 }
func (o *order[T]) Swap(i, j int)      { o.list[i], o.list[j] = o.list[j], o.list[i] }
func (o *order[T]) Push(v any)         { o.list = append(o.list, v.(T)) }
func (o *order[T]) Pop() any {
	last := len(o.list) - 1
	v := o.list[last]
	o.list = o.list[:last]
	return v
}
