package e2e

import (
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// patience is the longest wait of a test for what should come at once.
const patience = testwait.Patience

// eventually polls until ok holds. what describes the condition. It is for conditions of
// another process, which cannot be waited on in another way.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	testwait.Until(t, within, what, ok)
}

// within fails the test if the channel does not close in time.
func within(t testing.TB, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	testwait.Closed(t, d, what, done)
}

// due waits for a moment of a schedule: the start plus a time. Code that writes or connects
// at a rate calls it before each step.
func due(began time.Time, at time.Duration) {
	if wait := at - time.Since(began); wait > 0 {
		testwait.Pause(wait) // the rate, or what a client is told to wait, is what is tested
	}
}

// besideOthers makes a test run at the same time as others. Such a test waits more than it
// works, and what it asserts holds on a busy machine. A full run measures, and runs one test
// at a time.
func besideOthers(t *testing.T) {
	t.Helper()
	if !scaled().full() {
		t.Parallel()
	}
}

// onAll calls f for 0 to n-1 at the same time.
func onAll(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
