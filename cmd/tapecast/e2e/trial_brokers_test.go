package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestTrialBrokers: harm to three brokers of a real Kafka. It runs in full runs only: TestKafkaFaults has
// less of the same.
func TestTrialBrokers(t *testing.T) {
	onlyFull(t)
	all := append(brokerFaults(), topicFaults()...)
	newTrialOn(t, ground{kafka: func(t testing.TB) (*cluster, *toxic) { return threeBrokers(t), nil }}).run(few(all))
}

func brokerFaults() []fault {
	var list []fault
	for n := 1; n <= 3; n++ {
		list = append(list, fault{fmt.Sprintf("brokers: number %d killed", n), func(x *trial) {
			x.k.kill(x.t, n)
			x.during(10 * time.Second)
			x.flows()
			x.backUp()
		}}, fault{fmt.Sprintf("brokers: number %d stands still for 15 s", n), func(x *trial) {
			x.k.freeze(x.t, n, func() { x.during(15 * time.Second) })
		}})
	}
	return append(list,
		fault{"brokers: two of three killed", func(x *trial) {
			x.k.kill(x.t, 1)
			x.k.kill(x.t, 3)
			x.during(10 * time.Second)
			x.backUp()
		}},
		fault{"brokers: all down for 2 min", func(x *trial) {
			x.k.kill(x.t, 0)
			x.told(`"KafkaConsumer":{"status":"degraded","isRunning":true,"detail":"[^"]*`)
			x.during(2 * time.Minute)
			if status, body := x.node.get("/readyz"); status != 200 {
				x.t.Errorf("it is not ready, so every node would leave at once: %s", body)
			}
			x.backUp()
		}},
		fault{"brokers: leaders move", func(x *trial) {
			x.k.kill(x.t, 1)
			x.flows()
			x.backUp()
			before, after, moved := x.k.electPreferred(x.t, "feed")
			x.note("from %v to %v", before, after)
			if !moved {
				x.t.Error("no leader has moved")
			}
		}},
		fault{"brokers: restarted one after the other, twice", func(x *trial) {
			for n := range 6 {
				x.k.kill(x.t, 1+n%3)
				x.backUp()
			}
		}},
		fault{"brokers: partitions added", func(x *trial) {
			x.k.addPartitions(x.t, "feed", 5)
			x.during(2 * time.Second)
		}},
		fault{"brokers: killed while clients come back", func(x *trial) {
			x.flee()
			x.k.kill(x.t, 2)
			x.comeAgain()
			x.backUp()
		}},
	)
}

// backUp starts the brokers that are down.
func (x *trial) backUp() {
	x.t.Helper()
	if err := x.k.up(); err != nil {
		x.t.Fatal(err)
	}
}
