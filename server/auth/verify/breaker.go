package verify

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// maxLateRow calls in a row without an answer in time open the breaker: each cost a client 5 s.
	maxLateRow = 3
	// maxRow calls in a row that failed at once open it. With half of the calls failing by chance, that
	// many in a row are rare: half of the clients get in then, and an open breaker would stop them.
	maxRow = 10
	// window is the time over which the rate of failures is taken, of leastCalls or more. It opens at
	// three of four, or at one of two if tokens wait in the queue besides: then failures cost others
	// their time.
	window     = 10 * time.Second
	leastCalls = 20
	// openFor is how long it stays open. The service is tried tryAfter later, so that after its return
	// a call that hangs and openFor take less than 10 s.
	openFor  = 2 * time.Second
	tryAfter = 50 * time.Millisecond
	// senselessFor is how long answers that say nothing of a token are told of, if no other answer comes.
	senselessFor = 30 * time.Second
)

// row counts what went wrong in a row.
type row struct{ late, all atomic.Int32 }

// sense is how many answers in a row said nothing of a token: they named no user, or complained of the
// request's form. Each may be the fault of its token, which a stranger has made up. So health tells of them
// once the token that was answered last is answered so too (doubt).
type sense struct {
	row       int
	since, at time.Time // when the first and the last one came
	why       error     // what was wrong with the last one
	tried     time.Time // when that token was last tried
	sure      bool      // it was answered so
}

func (s *Service) newBreaker() *gobreaker.CircuitBreaker[Answer] {
	return gobreaker.NewCircuitBreaker[Answer](gobreaker.Settings{
		Name: "verify", Timeout: openFor, Interval: window, BucketPeriod: window / 10,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			bad, good := c.TotalFailures, c.TotalSuccesses // others are under way, or odd
			return s.failing.late.Load() >= maxLateRow || s.failing.all.Load() >= maxRow ||
				bad+good >= leastCalls && (bad >= 3*good || bad >= good && s.queued.Load() > 0)
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			s.cfg.Log.Warn("breaker", "of", "auth.verify", "from", from.String(), "to", to.String())
			if to == gobreaker.StateOpen {
				select {
				case s.tripped <- struct{}{}:
				default:
				}
			}
		},
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, ErrRefused) },
		IsExcluded:   func(err error) bool { _, odd := errors.AsType[oddError](err); return odd },
	})
}

// Hopeless reports whether nobody need wait: the breaker is not closed, and other nodes' answers cannot
// be had.
func (s *Service) Hopeless() bool { return s.Open() && (s.cfg.Shares == nil || !s.cfg.Shares()) }

// Open reports whether the breaker is not closed, so that the service is not asked. While it is half-open
// only try asks: a client's token could make the service fail.
func (s *Service) Open() bool { return s.breaker.State() != gobreaker.StateClosed }

// oddError is a call's end that says nothing about the service: it was cancelled, had too little time,
// or complained of the request's form, which is the client's.
type oddError struct{ error }

// Unwrap returns the cause.
func (e oddError) Unwrap() error { return e.error }

// ask makes a call. The error is ErrRefused or ErrAway.
func (s *Service) ask(c *call) (Answer, error) {
	if s.cfg.Known != nil && s.cfg.Known(c.token) {
		return Answer{Known: true}, nil
	}
	ctx, cancel := context.WithDeadline(s.ctx, c.until)
	defer cancel()
	if s.cfg.Shared != nil {
		if a, ok := s.cfg.Shared(ctx, c.token); ok {
			return a, nil
		}
	}
	if s.Open() || ctx.Err() != nil {
		return Answer{}, ErrAway
	}
	return s.tell(s.through(ctx, c.token))
}

// through makes a call through the breaker.
func (s *Service) through(ctx context.Context, token string) (Answer, error) {
	return s.breaker.Execute(func() (Answer, error) { return s.call(ctx, token) })
}

// call asks the service, and keeps how that ended.
func (s *Service) call(ctx context.Context, token string) (Answer, error) {
	s.asked.Add(1)
	began := time.Now()
	s.mu.Lock()
	s.began[&began] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.began, &began)
		s.mu.Unlock()
	}()
	timed, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	end, _ := timed.Deadline()
	whole := time.Until(end) >= s.cfg.Timeout/2 // not the rest of a time in the queue
	a, err := s.fetch(timed, token)
	switch late := timed.Err() != nil; {
	case err == nil || errors.Is(err, ErrRefused):
		s.failing.late.Store(0)
		s.failing.all.Store(0)
	case errors.Is(ctx.Err(), context.Canceled) || late && !whole:
		err = oddError{err}
	default:
		if _, odd := errors.AsType[oddError](err); odd {
			break
		}
		s.failing.all.Add(1)
		if late {
			s.failing.late.Add(1)
			err = errors.New("it does not answer in time")
		} else {
			s.failing.late.Store(0)
		}
	}
	s.note(token, err)
	return a, err
}

// note keeps how a call ended.
func (s *Service) note(token string, err error) {
	_, odd := errors.AsType[oddError](err)
	accepted := err == nil
	switch {
	case err == nil:
	case errors.Is(err, ErrRefused):
		s.refused.Add(1)
		err = nil
	case odd:
		s.odd.Add(1)
		return
	default:
		s.failed.Add(1)
		s.cfg.Log.Warn("a token cannot be checked", "url", s.cfg.URL, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why = err; err == nil {
		s.sense = sense{tried: s.sense.tried}
		s.answered = token
		s.accepted = s.accepted || accepted
	}
}

// senseless keeps an answer that says nothing of its token.
func (s *Service) senseless(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	is, now := &s.sense, time.Now()
	if is.row == 0 || now.Sub(is.at) > senselessFor {
		*is = sense{since: now, tried: is.tried}
	}
	is.row, is.at, is.why = is.row+1, now, err
	if is.row >= maxRow && s.answered != "" && now.Sub(is.tried) >= openFor {
		is.tried = now
		select {
		case s.doubted <- struct{}{}:
		default:
		}
	}
}

// doubt asks again about the token that was answered last. A stranger cannot make the service answer that
// one otherwise.
func (s *Service) doubt(ctx context.Context) {
	s.mu.Lock()
	token := s.answered
	s.mu.Unlock()
	if s.Open() {
		return
	}
	_, err := s.through(ctx, token)
	if _, odd := errors.AsType[oddError](err); odd && ctx.Err() == nil {
		s.mu.Lock()
		s.sense.sure = s.sense.row >= maxRow
		s.mu.Unlock()
	}
}

// nonsenseLocked returns what is wrong with the service's answers, though it answers. As many in a row as
// open the breaker are told of, as long as there are any, if a token that is no stranger's has one. Where
// none was ever answered they have to last, since one stranger may have sent them all.
func (s *Service) nonsenseLocked() error {
	is := &s.sense
	lasts := s.answered == "" && is.at.Sub(is.since) >= window
	if is.row < maxRow || time.Since(is.at) > senselessFor || !is.sure && !lasts {
		return nil
	}
	return is.why
}

// everAnswered reports whether a token was accepted once.
func (s *Service) everAnswered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// tell makes all failures ErrAway.
func (s *Service) tell(a Answer, err error) (Answer, error) {
	if err != nil && !errors.Is(err, ErrRefused) {
		err = ErrAway
	}
	return a, err
}

// try sends the last token that was answered again. Without one, the service is asked about none.
func (s *Service) try(ctx context.Context) {
	s.mu.Lock()
	token := s.answered
	s.mu.Unlock()
	_, _ = s.breaker.Execute(func() (Answer, error) {
		a, err := s.call(ctx, token)
		if _, odd := errors.AsType[oddError](err); odd && ctx.Err() == nil {
			// It answers again. What it has against this token or its absence holds for no other, and only
			// try asks: the breaker would never close.
			s.failing.late.Store(0)
			s.failing.all.Store(0)
			err = nil
		}
		return a, err
	})
}
