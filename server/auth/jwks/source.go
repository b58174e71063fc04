package jwks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"tapecast/server/auth/keyset"
)

const (
	// MaxWait is how long a token waits for its key: its client then hears within 5 s.
	MaxWait = 4800 * time.Millisecond
	// MaxWaiting is how many tokens may wait, and MaxBytes how long they may be together.
	MaxWaiting = 8192
	MaxBytes   = 16 << 20
	// between is the least time between the beginnings of two fetches.
	between = time.Second
	// refuseFor is how long a kid is refused that the last fetch did not bring.
	refuseFor = 30 * time.Second
	// maxRefused is how many such kids are remembered. Over it the oldest is forgotten.
	maxRefused = 1024
	// retry is when a fetch that failed is tried again.
	retry = 5 * time.Second
	// failures in a row open the breaker, which stays open for openFor.
	failures = 3
	openFor  = 10 * time.Second
)

// ErrAway means that the issuer's keys could not be fetched.
var ErrAway = errors.New("the issuer's keys cannot be fetched now")

// Config says what to fetch.
type Config struct {
	URL   string
	Every time.Duration // between two fetches that nobody asked for
	// Took is called with the keys of each fetch that succeeded, on Run's goroutine.
	Took   func(keys []keyset.Key, unused []string)
	Client *http.Client // nil: one of its own
	Log    *slog.Logger
}

// Source fetches a JWK Set. Any goroutine may use it.
type Source struct {
	cfg     Config
	breaker *gobreaker.CircuitBreaker[fetched]
	first   chan struct{} // closed when the first fetch has ended
	wake    chan struct{}

	mu      sync.Mutex // guards what follows; nothing that takes long happens under it
	waiting []waiter   // in the order in which they came
	bytes   int        // of all that wait, those whose fetch is under way too
	count   int
	refused map[string]time.Time // by kid: until when
	order   []string             // kids of refused, oldest first
	why     error                // of the last fetch; nil: it succeeded
	took    time.Time            // when the last fetch that succeeded ended

	fetches, failed, full atomic.Uint64
}

type waiter struct {
	until time.Time
	bytes int
	done  func(error)
}

type fetched struct {
	keys   []keyset.Key
	unused []string
}

// New returns a source. It fetches nothing before Run.
func New(cfg Config) *Source {
	if cfg.Client == nil {
		cfg.Client = client()
	}
	s := &Source{cfg: cfg, first: make(chan struct{}), wake: make(chan struct{}, 1), refused: map[string]time.Time{},
		why: errors.New("they have not been fetched yet")}
	s.breaker = gobreaker.NewCircuitBreaker[fetched](gobreaker.Settings{
		Name: "JWKS", Timeout: openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			cfg.Log.Warn("breaker", "of", "auth.jwks_url", "from", from.String(), "to", to.String())
		},
	})
	return s
}

// First is closed when the first fetch has ended, whether it succeeded or not.
func (s *Source) First() <-chan struct{} { return s.first }

// Await calls done after a fetch that begins from now on: with nil, or with ErrAway if it failed or
// took longer than MaxWait. It returns false if too many wait already; done is then not called.
// bytes is what the caller keeps meanwhile.
func (s *Source) Await(bytes int, done func(error)) bool {
	s.mu.Lock()
	if s.count >= MaxWaiting || s.bytes+bytes > MaxBytes {
		s.mu.Unlock()
		s.full.Add(1)
		return false
	}
	s.count++
	s.bytes += bytes
	s.waiting = append(s.waiting, waiter{time.Now().Add(MaxWait), bytes, done})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// Lack remembers a kid that the last fetch did not bring.
func (s *Source) Lack(kid string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, had := s.refused[kid]; !had {
		if len(s.order) == maxRefused {
			delete(s.refused, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, kid)
	}
	s.refused[kid] = now.Add(refuseFor)
}

// Lacks reports whether a kid is refused without another fetch.
func (s *Source) Lacks(kid string) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.refused[kid]
	return ok && now.Before(until)
}

// Stats is what a source has done, and how it is.
type Stats struct {
	Fetches, Failed uint64
	Full            uint64    // tokens that could not wait
	Waiting         int       // tokens that wait
	Bytes           int       // of them
	Took            time.Time // when the last fetch that succeeded ended; zero: none has
	Breaker         string    // closed, half-open or open
	Why             error     // why the last fetch failed; nil: it succeeded
}

// Stats returns the figures of this moment.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Fetches: s.fetches.Load(), Failed: s.failed.Load(), Full: s.full.Load(), Waiting: s.count,
		Bytes: s.bytes, Took: s.took, Breaker: s.breaker.State().String(), Why: s.why}
}

// Run fetches until ctx is done. Those that still wait then are told ErrAway.
func (s *Source) Run(ctx context.Context) {
	r := run{s: s, results: make(chan error, 1), next: time.Now()}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if r.busy {
				<-r.results // its context is done too
			}
			s.mu.Lock()
			asked := append(r.asked, s.waiting...)
			s.waiting = nil
			s.mu.Unlock()
			s.answer(asked, ErrAway)
			return
		case <-s.wake:
		case <-timer.C:
		case err := <-r.results:
			r.ended(err)
		}
		timer.Reset(max(0, time.Until(r.step(ctx))))
	}
}

// run is the state of Run.
type run struct {
	s       *Source
	results chan error // of the fetch that is under way
	busy    bool       // one is
	once    bool       // one has ended
	asked   []waiter   // that wait for it
	began   time.Time  // the last fetch
	next    time.Time  // when one is due that nobody asked for
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
	if len(s.waiting) > 0 {
		due = now
	}
	due = later(due, r.began.Add(between))
	begin := !r.busy && !now.Before(due)
	if begin {
		r.asked, s.waiting = s.waiting, nil
	}
	look := now.Add(time.Hour)
	if !r.busy && !begin {
		look = due
	}
	for _, list := range [...][]waiter{r.asked, s.waiting} {
		if len(list) > 0 {
			look = earlier(look, list[0].until)
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

// ended takes the end of a fetch. Its keys are in use by then.
func (r *run) ended(err error) {
	r.busy = false
	asked := r.asked
	r.asked = nil
	if err != nil {
		r.next = earlier(r.next, time.Now().Add(retry))
		err = ErrAway
	}
	r.s.answer(asked, err)
	if !r.once {
		close(r.s.first)
	}
	r.once = true
}

// answer tells waiters how it went.
func (s *Source) answer(to []waiter, err error) {
	bytes := 0
	for i := range to {
		to[i].done(err)
		bytes += to[i].bytes
	}
	s.mu.Lock()
	s.count -= len(to)
	s.bytes -= bytes
	s.mu.Unlock()
}

// overdue takes those that have waited too long off the front of a list.
func overdue(list, late []waiter, now time.Time) (rest, all []waiter) {
	n := 0
	for n < len(list) && !now.Before(list[n].until) {
		n++
	}
	return list[n:], append(late, list[:n]...)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
