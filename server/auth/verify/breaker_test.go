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

// TestNonsense: a service that names no user any more keeps the breaker closed, since a stranger's token
// may be the cause. That it does so for all of them is told, until it names one, or says nothing at all.
func TestNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &accounts{}
		s, stop := running(t, a)
		defer stop()
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
				t.Errorf("after %d more: told %v, the breaker is %s", times, st.Nonsense, st.Breaker)
			}
		}
		ask(1, false)
		a.senseless.Store(true)
		ask(maxRow-1, false)
		ask(1, true)
		a.senseless.Store(false)
		ask(1, false)
		a.senseless.Store(true)
		ask(maxRow, true)
		testwait.Pass(senselessFor + time.Second)
		ask(0, false)
	})
}
