package survey

import (
	"container/heap"
	"slices"
)

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
