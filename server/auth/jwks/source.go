package jwks

import (
	"errors"
	"fmt"
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
	MaxBytes   = 64 << 20
	// between is the least time between the beginnings of two fetches. It doubles up to slowest
	// while those that were asked for bring no key with a new kid: anybody can make up a kid.
	between = time.Second
	slowest = 4 * time.Second // less than MaxWait
	// refuseFor is how long a kid is refused that the last fetch did not bring.
	refuseFor = 30 * time.Second
	// maxRefused is how many such kids are remembered. Over it the oldest is forgotten.
	maxRefused = 1024
	// lateAfter is how long a fetch may be under way before health tells of it. When it fails at last,
	// clients have waited for nearly MaxWait.
	lateAfter = 1500 * time.Millisecond
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
	// Took is called with the keys of each fetch that succeeded, one at a time, on a goroutine of
	// the source. It reports whether one of them has a new kid.
	Took   func(keys []keyset.Key, unused []string) (news bool)
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
	again   bool       // a fetch is wanted though nobody waits
	waiting []waiter   // in the order in which they came
	bytes   int        // of all that wait, those whose fetch is under way too
	count   int
	refused map[string]time.Time // by kid: until when
	order   []string             // kids of refused, oldest first
	why     error                // of the last fetch; nil: it succeeded
	took    time.Time            // when the last fetch that succeeded ended
	since   time.Time            // when the fetch began that is under way; zero: none is

	fetches, failed, full atomic.Uint64
}

// errLate is of a fetch that is under way.
var errLate = fmt.Errorf("it has not answered within %s", lateAfter)

type waiter struct {
	until time.Time
	bytes int
	there func() bool
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

// Await calls done after a fetch that begins from now on, or after the one that is under way if there
// then reports that it has brought the key: with nil, or with ErrAway if it failed or took longer
// than MaxWait. It returns false if too many wait already; done is then not called. bytes is what
// the caller keeps meanwhile.
func (s *Source) Await(bytes int, there func() bool, done func(error)) bool {
	s.mu.Lock()
	if s.count >= MaxWaiting || s.bytes+bytes > MaxBytes {
		s.mu.Unlock()
		s.full.Add(1)
		return false
	}
	s.count++
	s.bytes += bytes
	s.waiting = append(s.waiting, waiter{time.Now().Add(MaxWait), bytes, there, done})
	s.mu.Unlock()
	s.poke()
	return true
}

// Refresh makes a fetch due, as a reload of the configuration does.
func (s *Source) Refresh() {
	s.mu.Lock()
	s.again = true
	s.mu.Unlock()
	s.poke()
}

func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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
	Why             error     // why the last fetch failed, or errLate; nil: it succeeded
}

// Stats returns the figures of this moment.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := s.why
	if why == nil && !s.since.IsZero() && time.Since(s.since) >= lateAfter {
		why = errLate
	}
	return Stats{Fetches: s.fetches.Load(), Failed: s.failed.Load(), Full: s.full.Load(), Waiting: s.count,
		Bytes: s.bytes, Took: s.took, Breaker: s.breaker.State().String(), Why: why}
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
