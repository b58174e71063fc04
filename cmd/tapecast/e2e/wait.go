package e2e

import (
	"sync"
	"testing"
	"time"
)

// patience is the longest that a test waits for what should come at once.
const patience = 20 * time.Second

// eventually polls until ok holds; what says what is waited for. For what cannot
// be waited on otherwise: another process.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(within)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// within fails the test where the channel does not close in time.
func within(t testing.TB, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("not within %s: %s", d, what)
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
