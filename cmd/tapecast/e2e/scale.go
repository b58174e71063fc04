package e2e

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// scale is how much of everything the run does.
type scale struct {
	name        string
	tradeRows   int // of trade.tsv.gz, on Kafka
	tradeConns  int // clients that read them, on Kafka
	smallRows   int // the same on kfake, which is slow
	smallConns  int
	joins       int           // of TestMembershipsHoldExactlyTheirRecords
	joinConns   int           // clients that make them
	rounds      int           // rounds of bad input
	idle        int           // connections of a round that never authenticate
	outage      time.Duration // how long all brokers are down
	demoSeconds int
	partitions  int // of TestStorm's topics; 0: as many as it has
}

func scaled() scale {
	s := sized()
	s.partitions, _ = strconv.Atoi(os.Getenv("TAPECAST_E2E_PARTITIONS"))
	return s
}

func sized() scale {
	switch {
	case os.Getenv("TAPECAST_E2E_FULL") == "1":
		return scale{"full", 1 << 30, 500, 10_000, 20, 100_000, 200, 10, 10_000, 30 * time.Second, 15, 0}
	case testing.Short() || raceEnabled:
		return scale{"short", 5_000, 10, 2_000, 5, 300, 10, 2, 100, 5 * time.Second, 15, 0}
	default:
		return scale{"normal", 40_000, 50, 10_000, 20, 3_000, 40, 4, 1_000, 10 * time.Second, 15, 0}
	}
}

func (s scale) full() bool { return s.name == "full" }

// full reports whether a row of the acceptance table runs at its full size. That is only on
// a real Kafka.
func (k *cluster) full() bool { return scaled().name == "full" && k.kind == "kafka" }

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
