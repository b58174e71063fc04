package verify

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

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
