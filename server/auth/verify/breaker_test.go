package verify

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// TestBreakerClosesOnOddAnswers: a service that is back closes the breaker, whatever it says of the token
// that it is tried with, or of none.
func TestBreakerClosesOnOddAnswers(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		for _, back := range []func(a *accounts){
			func(a *accounts) { a.status.Store(http.StatusBadRequest) },
			func(a *accounts) { a.status.Store(http.StatusUnprocessableEntity) },
			func(a *accounts) { a.senseless.Store(true) },
			func(a *accounts) {
				if !accepted { // of a token, that is a fault
					a.status.Store(http.StatusNoContent)
				}
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				a := &accounts{}
				s, stop := running(t, a)
				defer stop()
				var c asker
				if accepted {
					c.asks(s, "good")
					synctest.Wait()
				}
				a.down.Store(true)
				for i := range maxRow {
					c.asks(s, fmt.Sprint(i))
					synctest.Wait()
				}
				testwait.Pass(time.Minute)
				if !s.Open() {
					t.Fatal("the breaker is closed while the service is down")
				}
				back(a)
				a.down.Store(false)
				testwait.Pass(10 * time.Second)
				if s.Open() {
					t.Errorf("accepted %v: the breaker is %s", accepted, s.Stats().Breaker)
				}
			})
		}
	}
}

// TestNonsense: a service that says nothing of tokens any more keeps the breaker closed, since strangers'
// tokens may be the cause. That it does so for all of them is told, until it answers one, or says nothing
// at all.
func TestNonsense(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge,
		http.StatusRequestURITooLong, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge} {
		synctest.Test(t, func(t *testing.T) {
			a := &accounts{}
			s, stop := running(t, a)
			defer stop()
			answers := func(well bool) {
				a.senseless.Store(!well && status == http.StatusOK)
				a.status.Store(0)
				if !well && status != http.StatusOK {
					a.status.Store(int64(status))
				}
			}
			n := 0
			ask := func(times int, told bool) {
				t.Helper()
				for range times {
					var c asker
					n++
					c.asks(s, fmt.Sprint(n))
					synctest.Wait()
				}
				if st := s.Stats(); (st.Nonsense != nil) != told || st.Breaker != "closed" {
					t.Errorf("%d, after %d more: told %v, the breaker is %s", status, times, st.Nonsense, st.Breaker)
				}
			}
			ask(1, false)
			answers(false)
			ask(maxRow-1, false)
			ask(1, true)
			answers(true)
			ask(1, false)
			answers(false)
			testwait.Pass(openFor)
			ask(maxRow, true)
			testwait.Pass(senselessFor + time.Second)
			ask(0, false)
		})
	}
}

// TestNonsenseOfStrangers: tokens that a stranger has made up, and that the service complains of, say
// nothing of the service, however many there are. It is asked about a token that it knows, once in a while.
func TestNonsenseOfStrangers(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		synctest.Test(t, func(t *testing.T) {
			a := &accounts{}
			a.of = func(token string) (int, string) {
				if token == "Bearer good" {
					return http.StatusOK, `{"user":{"id":1}}`
				}
				return status, "{}"
			}
			s, stop := running(t, a)
			defer stop()
			var c asker
			c.asks(s, "good")
			synctest.Wait()
			for i := range 5 * maxRow {
				c.asks(s, fmt.Sprint(i))
				synctest.Wait()
				if st := s.Stats(); st.Nonsense != nil || st.Breaker != "closed" {
					t.Fatalf("%d, after %d: %v, %s", status, i, st.Nonsense, st.Breaker)
				}
			}
			if n := a.asked.Load(); n != 1+5*maxRow+1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestNonsenseFromTheStart: where no token was ever answered, complaints about all of them are told once
// they last.
func TestNonsenseFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		a.status.Store(http.StatusBadRequest)
		s, stop := running(t, a)
		defer stop()
		for i := range 2 * maxRow {
			var c asker
			c.asks(s, fmt.Sprint(i))
			testwait.Pass(window / maxRow)
			if told := s.Stats().Nonsense != nil; told != (i >= maxRow) {
				t.Errorf("after %d: %v", i, told)
			}
		}
	})
}

// breakerOf returns what asks about one token after the other and waits for the answer, and what holds the
// breaker's state against the one that is expected.
func breakerOf(t *testing.T, s *Service) (ask func() error, state func(want string)) {
	n := 0
	ask = func() error {
		t.Helper()
		var c asker
		n++
		c.asks(s, fmt.Sprint(n))
		testwait.Pass(MaxWait)
		if len(c.errs) != 1 || c.longest() > MaxWait {
			t.Fatalf("answered with %v after %s", c.errs, c.longest())
		}
		return c.errs[0]
	}
	state = func(want string) {
		t.Helper()
		if got := s.Stats().Breaker; got != want || s.Open() != (want == "open") {
			t.Errorf("it is %s, want %s", got, want)
		}
	}
	return ask, state
}

// TestBreaker: it opens at a service that does not answer, and closes by itself once that does.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		s, stop := running(t, a)
		defer stop()
		ask, state := breakerOf(t, s)
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		a.takes.Store(int64(time.Hour))
		for range maxLateRow {
			state("closed")
			if err := ask(); err != ErrAway {
				t.Error(err)
			}
		}
		state("open")
		calls := a.asked.Load()
		var c asker
		c.asks(s, "x")
		synctest.Wait()
		if c.count(ErrAway) != 1 || a.asked.Load() != calls {
			t.Error("one waits while the breaker is open")
		}
		testwait.Pass(openFor) // half-open: only the service itself asks, never a client's token
		calls = a.asked.Load()
		var d asker
		d.asks(s, "y")
		synctest.Wait()
		if d.count(ErrAway) != 1 || a.asked.Load() != calls {
			t.Error("a client's token is the one that is tried")
		}
		a.takes.Store(0)
		testwait.Pass(10 * time.Second)
		state("closed")
		if n := a.asked.Load(); n > calls+3 {
			t.Errorf("%d calls to find that", n-calls)
		}
		if err := ask(); err != nil || s.Stats().Why != nil {
			t.Error(err)
		}
		a.down.Store(true)
		for range maxRow {
			state("closed")
			ask()
		}
		testwait.Pass(time.Minute)
		if got := s.Stats().Breaker; got == "closed" {
			t.Errorf("it is %s while the service is down", got)
		}
		a.down.Store(false)
		testwait.Pass(10 * time.Second)
		state("closed")
	})
}

// TestBreakerOfAnswers: a service that answers is not one that fails, whatever it says.
func TestBreakerOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		s, stop := running(t, a)
		defer stop()
		ask, state := breakerOf(t, s)
		a.status.Store(http.StatusUnauthorized) // an answer, not a failure
		for range 50 {
			if err := ask(); err != ErrRefused {
				t.Fatal(err)
			}
		}
		state("closed")
		a.status.Store(http.StatusBadRequest) // the client's fault, perhaps
		for range 50 {
			if err := ask(); err != ErrAway {
				t.Fatal(err)
			}
		}
		state("closed")
	})
}
