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
