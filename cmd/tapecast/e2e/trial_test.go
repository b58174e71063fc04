package e2e

import (
	"testing"
	"time"
)

// The faults of these tests are those of `make faults-e2e`, each with a name. A run with -short takes
// some of each kind.

// TestTrialKafka: harm between the gateway and Kafka.
func TestTrialKafka(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(few(kafkaFaults()))
}

// TestTrialClients: harm between the gateway and its clients, and what hostile ones do.
func TestTrialClients(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(few(clientFaults()))
}

// TestTrialProcess: what is done to the process.
func TestTrialProcess(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(few(processFaults()))
}

// few takes every third fault of a list, or with -short every sixth, unless all are wanted.
func few(all []fault) []fault {
	if scaled().full() {
		return all
	}
	var some []fault
	for i, f := range all {
		if i%6 == 0 || i%3 == 0 && !testing.Short() {
			some = append(some, f)
		}
	}
	return some
}

// during lets records flow for a while.
func (x *trial) during(d time.Duration) {
	from := x.next.Load()
	eventually(x.t, d+patience, "records are produced", func() bool {
		return x.next.Load() >= from+int64(d/(10*time.Millisecond))
	})
}

// harmed is a fault of a proxy that lasts for a while.
func harmed(name string, at func(x *trial) *toxic, d time.Duration, harm func(p *toxic), health string) fault {
	return fault{name, func(x *trial) {
		p := at(x)
		harm(p)
		if health != "" {
			x.told(health)
		}
		x.during(d)
		p.heal()
	}}
}

// outage is a fault of a proxy that refuses connections for a while.
func outage(name string, at func(x *trial) *toxic, d time.Duration, health string) fault {
	return fault{name, func(x *trial) {
		at(x).cut()
		if health != "" {
			x.told(health)
		}
		x.during(d)
		at(x).open()
	}}
}
