package session

import (
	"context"
	"sync"
	"time"
)

// New rules may name claims that the tokens of many connections were not looked at for. These are closed, so
// that their clients come with their tokens again. They are closed one after the other, as in a drain: if
// all came at once, others would wait for their handshakes. Until then each stays as it is.

// mostPause is the longest time between two of them: so few cost nobody anything.
const mostPause = 10 * time.Millisecond

// again has the connections that are to be closed. Any goroutine may use it.
type again struct {
	mu   sync.Mutex
	list map[uint64]conn // by id: one may be found twice
	more chan struct{}
}

func newAgain() again { return again{list: map[uint64]conn{}, more: make(chan struct{}, 1)} }

func (a *again) add(c conn) {
	a.mu.Lock()
	a.list[c.ID()] = c
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
}

// take returns one of them; nil: there is none.
func (a *again) take() conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, c := range a.list {
		delete(a.list, id)
		return c
	}
	return nil
}

// forget empties the list: newer rules decide.
func (a *again) forget() {
	a.mu.Lock()
	clear(a.list)
	a.mu.Unlock()
}

// Unsure returns how many connections are to be closed, since their tokens must be looked at again.
func (h *Handler) Unsure() int {
	h.again.mu.Lock()
	defer h.again.mu.Unlock()
	return len(h.again.list)
}

// Run closes connections whose tokens must be looked at again, until ctx is done.
func (h *Handler) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.again.more:
		}
		for c := h.again.take(); c != nil; c = h.again.take() {
			if s := sessionOf(c); s == nil || !s.isIn() {
				continue
			}
			if now := time.Now(); due.Before(now) {
				due = now
			}
			timer.Reset(time.Until(due))
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			h.sift(c) // it may have a new token meanwhile
			due = due.Add(min(mostPause, h.drain/time.Duration(max(1, h.limit.Conns.Load()))))
		}
	}
}

// isIn reports whether a session is authenticated.
func (s *session) isIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase.authenticated()
}
