package jwks

import (
	"context"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Run fetches until ctx is done. Those that still wait then are told ErrAway.
func (s *Source) Run(ctx context.Context) {
	defer s.cfg.Client.CloseIdleConnections()
	r := run{s: s, results: make(chan result, 1), told: make(chan struct{}, 1), next: time.Now(), pause: between}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.end()
			return
		case <-s.wake:
		case <-timer.C:
		case got := <-r.results:
			r.ended(got)
		case <-r.told:
			r.busy = false
		}
		timer.Reset(max(0, time.Until(r.step(ctx))))
	}
}

// run is the state of Run.
type run struct {
	s       *Source
	results chan result   // of the fetch that is under way
	told    chan struct{} // those that waited for it have been answered
	busy    bool          // a fetch is under way, or those that waited for it are being answered
	once    bool          // one has ended
	asked   []waiter      // that wait for it; nil while they are being answered
	began   time.Time     // the last fetch
	pause   time.Duration // from there until the next may begin
	next    time.Time     // when one is due that nobody asked for
}

// result is how a fetch ended.
type result struct {
	err  error
	news bool
}

// step answers those that have waited too long, and begins a fetch if one is due. It returns when
// to look again.
func (r *run) step(ctx context.Context) time.Time {
	s, now := r.s, time.Now()
	open := s.breaker.State() == gobreaker.StateOpen
	s.mu.Lock()
	var late []waiter
	r.asked, late = overdue(r.asked, late, now)
	s.waiting, late = overdue(s.waiting, late, now)
	if open { // nobody waits for a fetch that is not made
		late, s.waiting = append(late, s.waiting...), nil
	}
	due := r.next
	if len(s.waiting) > 0 || s.again {
		due = now
	}
	if least := r.began.Add(r.pause); due.Before(least) {
		due = least
	}
	begin := !r.busy && !now.Before(due)
	if begin {
		r.asked, s.waiting, s.again = s.waiting, nil, false
	}
	look := now.Add(time.Hour)
	if !r.busy && !begin {
		look = due
	}
	for _, list := range [...][]waiter{r.asked, s.waiting} {
		if len(list) > 0 && list[0].until.Before(look) {
			look = list[0].until
		}
	}
	s.mu.Unlock()
	s.answer(late, ErrAway)
	if begin {
		r.busy, r.began, r.next = true, now, now.Add(s.cfg.Every)
		go func() { r.results <- s.fetch(ctx) }()
	}
	return look
}

// ended takes the end of a fetch. Its keys are in use by then. Those that waited are answered on
// another goroutine, since each costs a signature's check.
func (r *run) ended(got result) {
	asked, err := r.asked, got.err
	r.asked = nil
	if err == nil {
		asked = append(asked, r.s.found()...)
	}
	switch {
	case err != nil:
		if again := time.Now().Add(retry); again.Before(r.next) {
			r.next = again
		}
		err = ErrAway
	case got.news || len(asked) == 0:
		r.pause = between
	default:
		r.pause = min(2*r.pause, slowest)
	}
	if !r.once {
		close(r.s.first)
	}
	r.once = true
	go func() {
		r.s.answer(asked, err)
		r.told <- struct{}{}
	}()
}

// found takes those out of the queue that have their key by now.
func (s *Source) found() (those []waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]waiter, 0, len(s.waiting))
	for _, w := range s.waiting {
		if w.there() {
			those = append(those, w)
		} else {
			left = append(left, w)
		}
	}
	s.waiting = left
	return those
}

// end waits for what is under way, whose context is done, and answers the others.
func (r *run) end() {
	for r.busy {
		select {
		case got := <-r.results:
			r.ended(got)
		case <-r.told:
			r.busy = false
		}
	}
	s := r.s
	s.mu.Lock()
	left := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	s.answer(left, ErrAway)
}

// overdue takes those that have waited too long off the front of a list.
func overdue(list, late []waiter, now time.Time) (rest, all []waiter) {
	n := 0
	for n < len(list) && !now.Before(list[n].until) {
		n++
	}
	return list[n:], append(late, list[:n]...)
}
