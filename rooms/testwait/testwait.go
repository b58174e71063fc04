package testwait

import (
	"testing"
	"testing/synctest"
	"time"
)

// Until waits for a condition, and fails the test where it does not hold within the time.
// what completes "not within 20s: ".
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Holds(within, ok) {
		t.Fatalf("not within %s: %s", within, what)
	}
}

// Holds waits for a condition and reports whether it holds within the time. It may be called
// from any goroutine, which Until may not.
func Holds(within time.Duration, ok func() bool) bool {
	end := time.Now().Add(within)
	for wait := time.Millisecond; !ok(); wait = min(wait*5/4, 20*time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
		// Nothing tells of a condition of another process or of a counter: it is looked
		// at, soon at first and then less often, so that what is awaited has the processor.
		time.Sleep(wait)
	}
	return true
}

// Closed fails the test where the channel is not closed within the time.
func Closed(t testing.TB, within time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		t.Fatalf("not within %s: %s", within, what)
	}
}

// Pass lets time pass in a bubble of testing/synctest, and all that is due then be done.
func Pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock, which jumps
	synctest.Wait()
}

// Pause lets a client be away or a server stand for so long. It must not stand for a
// condition.
func Pause(d time.Duration) {
	time.Sleep(d) // this is the stimulus, not a wait for its effect
}
