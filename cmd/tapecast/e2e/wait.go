package e2e

import (
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// patience is the longest that a test waits for what should come at once.
const patience = 20 * time.Second

// eventually waits until ok holds; what says what is waited for. For what cannot be
// waited on otherwise: another process.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	testwait.Until(t, within, what, ok)
}

// within fails the test where the channel does not close in time.
func within(t testing.TB, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	testwait.Closed(t, d, what, done)
}

// due waits for the moment of a schedule: began and so much. What writes or comes at a
// rate asks before each.
func due(began time.Time, at time.Duration) {
	if wait := at - time.Since(began); wait > 0 {
		testwait.Pause(wait)
	}
}

// besideOthers has a test run at the same time as others: it waits more than it works, and
// what it asserts holds on a busy machine. A full run measures, and does one at a time.
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
