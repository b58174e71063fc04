package e2e

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

// The faults of these tests are those of `make faults-e2e`, each with a name. A run with -short takes
// some of each kind.

// TestTrialKafka: harm between the gateway and Kafka.
func TestTrialKafka(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(append(few(kafkaFaults()), whenFull(append(lied(), topicFaults()...))...))
}

// TestTrialClients: harm between the gateway and its clients, and what hostile ones do.
func TestTrialClients(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(append(few(clientFaults()), whenFull(crowdFaults())...))
}

// TestTrialProcess: what is done to the process.
func TestTrialProcess(t *testing.T) {
	besideOthers(t)
	newTrial(t, "").run(append(few(processFaults()), whenFull(momentFaults())...))
}

// few takes those whose names match TAPECAST_E2E_FAULTS, if that is set. Else it takes every third
// fault of a list, or with -short every sixth, unless all are wanted.
func few(all []fault) []fault {
	if wanted := os.Getenv("TAPECAST_E2E_FAULTS"); wanted != "" {
		re := regexp.MustCompile(wanted)
		return slices.DeleteFunc(slices.Clone(all), func(f fault) bool { return !re.MatchString(f.name) })
	}
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

// whenFull returns a list if all faults, or some by name, are wanted: what takes long.
func whenFull(list []fault) []fault {
	if !scaled().full() && os.Getenv("TAPECAST_E2E_FAULTS") == "" {
		return nil
	}
	return few(list)
}

// onlyFull skips a trial unless all faults, or some by name, are wanted.
func onlyFull(t *testing.T) {
	t.Helper()
	if !scaled().full() && os.Getenv("TAPECAST_E2E_FAULTS") == "" {
		t.Skip("TAPECAST_E2E_FULL=1 runs it")
	}
	besideOthers(t)
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
