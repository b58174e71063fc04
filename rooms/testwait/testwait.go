package testwait

import (
	"testing"
	"testing/synctest"
	"time"
)

// Patience is how long a test waits for what must happen. Only a fault makes it wait so long:
// on a busy machine a process may get no processor for many seconds.
const Patience = time.Minute

// Until waits for a condition and fails the test if it does not hold in time. The argument what
// completes "not within 20s: ".
func Until(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Holds(within, ok) {
		t.Fatalf("not within %s: %s", within, what)
	}
}

// Holds waits for a condition and reports whether it holds in time. Any goroutine may call it,
// while Until is only for the test's own.
func Holds(within time.Duration, ok func() bool) bool {
	end := time.Now().Add(within)
	for wait := time.Millisecond; !ok(); wait = min(wait*5/4, 20*time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
		// Nothing signals a condition of another process or of a counter. It is checked often at
		// first and then less often, so that the code under test gets the processor.
		time.Sleep(wait)
	}
	return true
}

// Closed fails the test if the channel is not closed in time.
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

// Pass lets time pass in a bubble of testing/synctest, and waits until everything that is due then
// is done.
func Pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock, which jumps
	synctest.Wait()
}

// Pause lets so much time pass. It must not be used to wait for a condition.
func Pause(d time.Duration) {
	time.Sleep(d) // this is the stimulus, not a wait for its effect
}
