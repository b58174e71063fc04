package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"
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
