package verify

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// MaxWait is how long a client waits for an answer, which it then hears within 5 s.
	MaxWait = 4800 * time.Millisecond
	// MaxCalls is how many calls are under way.
	MaxCalls = 64
	// MaxWaiting is how many clients may wait, and MaxBytes how much may be kept for them.
	MaxWaiting = 8192
	MaxBytes   = 64 << 20
)

var (
	// ErrAway means that a token cannot be checked now.
	ErrAway = errors.New("the service that checks tokens (auth.verify) does not answer now")
	// ErrRefused means that the service does not accept a token, and may accept a new one (status 401).
	ErrRefused = errors.New("the service that checks tokens (auth.verify) does not accept the token")
	// ErrForbidden is ErrRefused where a new token of the same user would be refused too (status 403).
	ErrForbidden = fmt.Errorf("%w, nor another one of this user", ErrRefused)
)

// Config says whom to ask.
type Config struct {
	URL     string
	Timeout time.Duration // of a call; MaxWait is the most
	// User is the path of the user's id in the answer. Nil: data.user.id, or else user.id.
	User []string
	// Claims is the path of an object with claims. Nil: there is none.
	Claims []string
	// Issued is the path of when the token was issued. Nil: nowhere.
	Issued []string
	// Known reports whether a token was found good meanwhile, so that no call is needed.
	Known func(token string) bool
	// Shared returns what another node was told about a token. It may wait. Nil: nodes share nothing.
	Shared func(ctx context.Context, token string) (Answer, bool)
	// Shares reports whether Shared may know something now.
	Shares func() bool
	Client *http.Client // nil: one of its own
	Log    *slog.Logger
}

// Service asks about tokens. Any goroutine may use it.
type Service struct {
	cfg     Config
	breaker *gobreaker.CircuitBreaker[Answer]
	tripped chan struct{}
	doubted chan struct{}   // its answers may make no sense any more
	ctx     context.Context // of calls
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex              // guards what follows; nothing that takes long happens under it
	closed   bool                    // nothing waits any more
	calls    map[string]*call        // by token: under way, or in the queue
	queue    list.List               // of *call, in the order in which they came
	flight   int                     // calls under way
	began    map[*time.Time]struct{} // when each of them began
	waiting  int                     // clients
	bytes    int                     // that are kept for them
	why      error                   // why the last call failed; nil: it was answered
	answered string                  // the last token that was
	accepted bool                    // one was accepted once
	sense    sense

	failing                                   row
	queued                                    atomic.Int64 // tokens in the queue
	asked, failed, refused, joined, full, odd atomic.Uint64
}

// call is one token's. Its fields are guarded by Service.mu.
type call struct {
	token   string
	until   time.Time
	waiters []waiter
	at      *list.Element // in the queue; nil: it is under way
	timer   *time.Timer   // ends its time in the queue
}

type waiter struct {
	bytes int
	done  func(Answer, error)
}

// New returns a service.
func New(cfg Config) *Service {
	cfg.Timeout = min(cfg.Timeout, MaxWait)
	if cfg.Client == nil {
		cfg.Client = client()
	}
	s := &Service{cfg: cfg, calls: map[string]*call{}, began: map[*time.Time]struct{}{},
		tripped: make(chan struct{}, 1), doubted: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.breaker = s.newBreaker()
	return s
}

// Check calls done with what the service says of a token, or with ErrRefused or ErrForbidden, or with
// ErrAway at until at the latest. It returns false if too many wait already; done is then not called.
// bytes is what the caller keeps meanwhile.
func (s *Service) Check(token string, bytes int, until time.Time, done func(Answer, error)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, joins := s.calls[token]
	if !joins {
		bytes += len(token)
	}
	if s.closed || s.waiting >= MaxWaiting || s.bytes+bytes > MaxBytes {
		s.full.Add(1)
		return false
	}
	s.waiting++
	s.bytes += bytes
	if joins {
		s.joined.Add(1)
		c.waiters = append(c.waiters, waiter{bytes, done})
		return true
	}
	c = &call{token: token, until: until, waiters: []waiter{{bytes, done}}}
	s.calls[token] = c
	if s.flight < MaxCalls {
		s.flight++
		s.running.Go(func() { s.work(c) })
		return true
	}
	c.at = s.queue.PushBack(c)
	s.queued.Add(1)
	s.running.Add(1)
	c.timer = time.AfterFunc(time.Until(until), func() {
		defer s.running.Done()
		s.giveUp(c)
	})
	return true
}

// work makes a call, and then those that wait for their turn.
func (s *Service) work(c *call) {
	for c != nil {
		answer, err := s.ask(c)
		s.finish(c, answer, err)
		c = s.next()
	}
}

// next takes a call out of the queue, or ends the caller's work.
func (s *Service) next() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.queue.Front()
	if first == nil {
		s.flight--
		return nil
	}
	c := first.Value.(*call)
	s.unqueueLocked(c)
	return c
}

func (s *Service) unqueueLocked(c *call) {
	s.queue.Remove(c.at)
	s.queued.Add(-1)
	c.at = nil
	if c.timer.Stop() {
		s.running.Done()
	}
}

// giveUp answers those whose token has been in the queue for too long.
func (s *Service) giveUp(c *call) {
	s.mu.Lock()
	late := c.at != nil
	if late {
		s.unqueueLocked(c)
	}
	s.mu.Unlock()
	if late {
		s.finish(c, Answer{}, ErrAway)
	}
}

// finish tells those that wait for a call how it ended, those too that join meanwhile: only when
// nobody is left, and what the first ones remember can be found, may the token be asked about again.
func (s *Service) finish(c *call, answer Answer, err error) {
	for {
		s.mu.Lock()
		to := c.waiters
		c.waiters = nil
		if len(to) == 0 {
			delete(s.calls, c.token)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		bytes := 0
		for i := range to {
			to[i].done(answer, err)
			bytes += to[i].bytes
		}
		s.mu.Lock()
		s.waiting -= len(to)
		s.bytes -= bytes
		s.mu.Unlock()
	}
}

// Run tries the service again while the breaker is half-open, or when its answers make no sense, until ctx
// is done. Then it ends what
// is under way, and those that wait are told ErrAway.
func (s *Service) Run(ctx context.Context) {
	defer s.cfg.Client.CloseIdleConnections()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.end()
			return
		case <-s.tripped:
			timer.Reset(openFor + tryAfter)
		case <-s.doubted:
			s.doubt(ctx)
		case <-timer.C:
			if s.breaker.State() == gobreaker.StateHalfOpen {
				s.try(ctx)
				timer.Reset(openFor + tryAfter)
			}
		}
	}
}

func (s *Service) end() {
	s.mu.Lock()
	s.closed = true
	var left []*call
	for s.queue.Len() > 0 {
		c := s.queue.Front().Value.(*call)
		s.unqueueLocked(c)
		left = append(left, c)
	}
	s.mu.Unlock()
	s.cancel()
	for _, c := range left {
		s.finish(c, Answer{}, ErrAway)
	}
	s.running.Wait()
}

// Stats is what a service has been asked, and how it is.
type Stats struct {
	Calls, Failed uint64
	Refused       uint64 // tokens
	Joined        uint64 // clients that waited for a call that another had caused
	Full          uint64 // clients that could not wait
	Odd           uint64 // answers that say nothing about the service, nor about the token
	Flight        int    // calls under way
	Waiting       int    // clients
	Bytes         int    // that are kept for them
	Breaker       string // closed, half-open or open
	Why           error  // why the last call failed, or errLate; nil: it was answered
	Nonsense      error  // what is wrong with its answers to all; nil: nothing
}

// lateAfter is how long a call may be under way before health tells of it. When it fails at last, clients have
// waited for nearly 5 s.
const lateAfter = 2500 * time.Millisecond

var errLate = fmt.Errorf("it has not answered within %s", lateAfter)

// Stats returns the figures of this moment.
func (s *Service) Stats() Stats {
	breaker := s.breaker.State().String()
	s.mu.Lock()
	defer s.mu.Unlock()
	why := s.why
	for began := range s.began {
		if why == nil && time.Since(*began) >= lateAfter {
			why = errLate
		}
	}
	return Stats{Calls: s.asked.Load(), Failed: s.failed.Load(), Refused: s.refused.Load(), Joined: s.joined.Load(),
		Full: s.full.Load(), Odd: s.odd.Load(), Flight: s.flight, Waiting: s.waiting, Bytes: s.bytes,
		Breaker: breaker, Why: why, Nonsense: s.nonsenseLocked()}
}
