package survey

import (
	"context"
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
