package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// accounts answers in place of a network, so that a test can have its own clock.
type accounts struct {
	takes, status atomic.Int64 // ns for an answer; 0: 200
	asked, most   atomic.Int64
	now           atomic.Int64 // calls under way
	down          atomic.Bool
	fails         func(n int64) bool                                   // nil: none
	senseless     atomic.Bool                                          // its answers name no user
	of            func(authorization string) (status int, body string) // nil: as the rest says
}

func (a *accounts) RoundTrip(r *http.Request) (*http.Response, error) {
	n := a.asked.Add(1)
	a.most.Store(max(a.most.Load(), a.now.Add(1)))
	defer a.now.Add(-1)
	timer := time.NewTimer(time.Duration(a.takes.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.down.Load() {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	switch s := a.status.Load(); {
	case a.fails != nil && a.fails(n):
		w.WriteHeader(http.StatusInternalServerError)
	case s != 0:
		w.WriteHeader(int(s))
	case a.of != nil:
		status, body := a.of(r.Header.Get("Authorization"))
		w.WriteHeader(status)
		io.WriteString(w, body)
	case a.senseless.Load():
		io.WriteString(w, `{"data":{}}`)
	default:
		fmt.Fprintf(w, `{"user":{"id":%q}}`, r.Header.Get("Authorization"))
	}
	return w.Result(), nil
}

// running starts a service in front of a.
func running(t *testing.T, a *accounts) (s *Service, stop func()) {
	t.Helper()
	s = New(Config{URL: "http://a/", Timeout: 5 * time.Second, Client: &http.Client{Transport: a},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	return s, func() { cancel(); <-ended }
}

// client is one that waits.
type asker struct {
	mu    sync.Mutex
	times []time.Duration
	errs  []error
	users []string
}

// asks lets it wait for the answer about a token.
func (a *asker) asks(s *Service, token string) bool {
	began := time.Now()
	return s.Check(token, 100, began.Add(MaxWait), func(answer Answer, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.times, a.errs = append(a.times, time.Since(began)), append(a.errs, err)
		a.users = append(a.users, answer.User)
	})
}

func (a *asker) count(is error) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.errs {
		if err == is {
			n++
		}
	}
	return n
}

func (a *asker) longest() (d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.times {
		d = max(d, t)
	}
	return d
}

// TestJoinedCalls: clients with one token cause one call, until all of them are answered.
func TestJoinedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		a.takes.Store(int64(time.Second))
		s, stop := running(t, a)
		defer stop()
		var c asker
		for range 100 {
			c.asks(s, "same")
		}
		c.asks(s, "other")
		if st := s.Stats(); st.Waiting != 101 || st.Flight != 2 || st.Joined != 99 || st.Bytes != 101*100+9 {
			t.Errorf("%+v", st)
		}
		testwait.Pass(2 * time.Second)
		if st := s.Stats(); c.count(nil) != 101 || a.asked.Load() != 2 || st.Waiting != 0 || st.Bytes != 0 ||
			st.Flight != 0 || !slices.Contains(c.users, "Bearer same") {
			t.Errorf("%d are answered by %d calls: %+v, %q", c.count(nil), a.asked.Load(), st, c.users)
		}
		// One that comes while others are being answered gets the same answer.
		again := false
		s.Check("same", 0, time.Now().Add(MaxWait), func(Answer, error) { again = c.asks(s, "same") })
		testwait.Pass(2 * time.Second)
		if !again || c.count(nil) != 102 || a.asked.Load() != 3 {
			t.Errorf("%d are answered by %d calls", c.count(nil), a.asked.Load())
		}
	})
}

// TestCallBounds: so many calls at a time, so many that wait, and nobody for longer than MaxWait.
func TestCallBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		a.takes.Store(int64(time.Hour))
		s, stop := running(t, a)
		defer stop()
		var c asker
		taken := 0
		for i := range MaxWaiting + 10 {
			if c.asks(s, fmt.Sprint(i)) {
				taken++
			}
		}
		if st := s.Stats(); taken != MaxWaiting || st.Full != 10 || st.Flight != MaxCalls {
			t.Errorf("%d wait: %+v", taken, st)
		}
		testwait.Pass(MaxWait)
		if n := c.count(ErrAway); n != MaxWaiting || c.longest() > MaxWait || a.most.Load() > MaxCalls {
			t.Errorf("%d were told after %s, at most %d calls at a time", n, c.longest(), a.most.Load())
		}
		if st := s.Stats(); st.Waiting != 0 || st.Bytes != 0 || st.Flight != 0 || len(s.calls) != 0 ||
			s.queued.Load() != 0 || st.Breaker != "open" {
			t.Errorf("%+v", st)
		}
		long := make([]byte, MaxBytes)
		if c.asks(s, string(long)) {
			t.Error("a token of 64 MiB waits")
		}
	})
}

// TestQueueMovesOn: those in the queue have their turn.
func TestQueueMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		a.takes.Store(int64(time.Second))
		s, stop := running(t, a)
		defer stop()
		var c asker
		for i := range 6 * MaxCalls {
			c.asks(s, fmt.Sprint(i))
		}
		testwait.Pass(MaxWait)
		if good, late := c.count(nil), c.count(ErrAway); good != 4*MaxCalls || late != 2*MaxCalls {
			t.Errorf("%d answered, %d not", good, late)
		}
		if st := s.Stats(); st.Breaker != "closed" || st.Flight != 0 || st.Odd != MaxCalls || c.longest() > MaxWait {
			t.Errorf("%+v, %s", st, c.longest())
		}
	})
}

// TestBreakerRate: half of the calls may fail at once, as long as the other half gets in. Three of
// four may not, nor half while tokens wait.
func TestBreakerRate(t *testing.T) {
	f := func(of, fail int64, takes time.Duration, each int, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			a := &accounts{fails: func(n int64) bool { return n%of < fail }}
			a.takes.Store(int64(takes))
			s, stop := running(t, a)
			defer stop()
			var c asker
			opened := false
			for i := range 50 {
				for k := range each {
					c.asks(s, fmt.Sprint(i, k))
				}
				testwait.Pass(100 * time.Millisecond)
				opened = opened || s.Open()
			}
			if opened != (want == "open") {
				t.Errorf("%d of %d fail: opened %v, want %s", fail, of, opened, want)
			}
		})
	}
	f(2, 1, 0, 1, "closed")
	f(4, 3, 0, 1, "open")
	f(2, 1, time.Second, 2*MaxCalls, "open")
	f(10, 1, time.Second, 2*MaxCalls, "closed")
}

// TestEnds: who waits at the end is told, and nothing is left.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		a.takes.Store(int64(time.Hour))
		s, stop := running(t, a)
		var c asker
		for i := range 2 * MaxCalls {
			c.asks(s, fmt.Sprint(i))
		}
		testwait.Pass(time.Second)
		stop()
		if n := c.count(ErrAway); n != 2*MaxCalls || len(s.calls) != 0 || c.longest() != time.Second {
			t.Errorf("%d were told, after %s", n, c.longest())
		}
		if st := s.Stats(); st.Failed != 0 || st.Flight != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		if c.asks(s, "x") {
			t.Error("one waits after the end")
		}
	})
}

// TestLateIsTold: health tells of a call that takes long before it fails, and not of one that is answered.
func TestLateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		s, stop := running(t, a)
		defer stop()
		var c asker
		a.takes.Store(int64(lateAfter - time.Millisecond))
		c.asks(s, "quick")
		testwait.Pass(lateAfter + time.Millisecond)
		synctest.Wait()
		if s.Stats().Why != nil {
			t.Errorf("an answer in time: %v", s.Stats().Why)
		}
		a.takes.Store(int64(4 * time.Second))
		c.asks(s, "slow")
		testwait.Pass(lateAfter + time.Millisecond)
		if s.Stats().Why != errLate {
			t.Errorf("not told: %v", s.Stats().Why)
		}
		testwait.Pass(4 * time.Second)
		synctest.Wait()
		if c.count(nil) != 2 || s.Stats().Why != nil {
			t.Errorf("%v, %v", c.errs, s.Stats().Why)
		}
	})
}
