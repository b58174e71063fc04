package survey

import (
	"context"
	"sync"
)

// Survey is a question to one goroutine. However often it is asked, it is on its way
// once: whoever asks meanwhile gets the same answer. The zero value is ready, and any
// goroutine may use it.
type Survey[T any] struct {
	mu   sync.Mutex
	done chan struct{} // closed with the answer; nil: the question is not on its way
	last T
}

// Ask returns a channel that is closed with the answer. Where the question is not on its
// way yet, begin sends it, and reports whether the goroutine is still there.
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

// Take is Last, and forgets the answer.
func (s *Survey[T]) Take() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none, last T
	last, s.last = s.last, none
	return last
}

// Await waits until done is closed, or gone, or ctx ends, and reports whether one of the
// first two is. gone is closed where the goroutine has ended; nil: it does not end.
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
