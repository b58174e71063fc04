package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// trial is a gateway between two proxies that do harm: one before Kafka, one before its clients.
// Records flow all the while, and survivors must have each one once after every fault.
type trial struct {
	t     *testing.T
	k     *cluster
	kafka *toxic
	front *toxic
	w     *producer
	file  string // of the configuration
	env   []string
	all   []*survivor

	mu   sync.Mutex
	node *gateway

	next     atomic.Int64
	pause    sync.RWMutex // held while nothing may be produced
	before   usage
	struck   time.Time
	seen     []string // what /health said, and when
	sideways []string // what else is worth a line
}

// usage is what a process holds.
type usage struct {
	descriptors int
	goroutines  float64
	resident    float64 // MB
}

// fault is one kind of harm. strike does it and ends it.
type fault struct {
	name   string
	strike func(x *trial)
}

// lanes is how many descriptors or goroutines more there may be than at first. What reads the past for
// those that resume is made when it is first needed, and stays: some clients of Kafka, with ten
// descriptors each. Connections that are left behind would be hundreds.
const lanes = 80

const trialConfig = `
rooms:
  - {match: "feed", class: kept}
  - {match: "mine:{owner}", class: private}
  - {match: "other", class: kept}
classes:
  kept: {retain: {bytes: 64MiB, age: 10m}}
  private: {retain: {age: 2s}}
auto_join: []
limits: {burst: 100}
ingest:
  routes:
    - {topic: feed, rooms: [feed], key: "{s}", type: tick}
    - {topic: mine, rooms: ["mine:{@key}"], type: order}
    - {topic: bad, rooms: [other], key: "{s}", type: tick}
`

// newTrial starts everything. more is added to the configuration.
func newTrial(t *testing.T, more string, env ...string) *trial {
	t.Helper()
	x := &trial{t: t, env: env}
	x.k, x.kafka = poisonedCluster(t)
	x.k.topic(t, "feed", 3)
	x.k.topic(t, "mine", 2)
	x.k.topic(t, "bad", 1)
	x.file = filepath.Join(t.TempDir(), "tapecast.yaml")
	x.configure(more)
	x.start()
	x.node.ready()
	x.front = poison(t, "front", x.node.public)
	x.w = x.k.producer(t)
	ended := x.w.meanwhile(x.produce)
	t.Cleanup(func() { <-ended })
	for i := range 6 {
		user := fmt.Sprint("s", i)
		x.all = append(x.all, survive(t, user, []string{"feed", "mine:" + user}, x.at))
	}
	x.flows()
	x.before = x.use()
	return x
}

func (x *trial) configure(more string) {
	x.t.Helper()
	yaml := config(x.k, trialConfig+more)
	if err := os.WriteFile(x.file, []byte(yaml), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// start starts the gateway, at the address that it had before.
func (x *trial) start() {
	x.t.Helper()
	args := []string{"run", "--config", x.file}
	if x.node != nil {
		args = append(args, "--listen", x.node.public)
	}
	g := launchWith(x.t, x.env, args...)
	x.mu.Lock()
	x.node = g
	x.mu.Unlock()
}

// at says where survivors connect.
func (x *trial) at() (*gateway, string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.node, x.front.addr()
}

// produce sends 100 records a second to everybody, and as many to the owners.
func (x *trial) produce() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-x.t.Context().Done():
			return
		case <-tick.C:
		}
		x.pause.RLock()
		i := x.next.Add(1)
		x.w.send("feed", anyPartition, fmt.Appendf(nil, "k%d", i%97), fmt.Appendf(nil, `{"s":"S%d","i":%d}`, i%7, i))
		x.w.send("mine", anyPartition, fmt.Append(nil, "s", i%6), fmt.Appendf(nil, `{"order":%d}`, i))
		x.pause.RUnlock()
	}
}

// flows waits until each survivor has what is produced from now on.
func (x *trial) flows() {
	x.t.Helper()
	mark := fmt.Sprintf(`"i":%d}`, x.next.Load()+20)
	for _, v := range x.all {
		seen := 0
		eventually(x.t, 3*patience, "new records at "+v.user, func() bool {
			frames := v.frames("feed")
			for ; seen < len(frames); seen++ {
				if strings.HasSuffix(string(frames[seen].data), mark) {
					return true
				}
			}
			return false
		})
	}
}

// told waits until /health says something, and notes after how long it did.
func (x *trial) told(pattern string) {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	body := ""
	eventually(x.t, patience, "health says "+pattern, func() bool {
		var err error
		_, body, err = x.node.tryGet("/health")
		return err == nil && re.MatchString(body)
	})
	_, said, _ := strings.Cut(re.FindString(body), `"detail":"`)
	x.seen = append(x.seen, fmt.Sprintf("health after %.1f s: %.90s", time.Since(x.struck).Seconds(), said))
}

func (x *trial) note(format string, args ...any) {
	x.sideways = append(x.sideways, fmt.Sprintf(format, args...))
}

func (x *trial) use() usage {
	return usage{x.node.descriptors(), x.node.metric("go_goroutines"), x.node.resident()}
}

// run lets the trial go through the faults, one after the other.
func (x *trial) run(faults []fault) {
	for _, f := range faults {
		if x.t.Failed() {
			return
		}
		x.t.Run(f.name, func(*testing.T) { x.through(f) })
	}
}

// through does a fault and checks that all is as it was.
func (x *trial) through(f fault) {
	x.t.Helper()
	came := x.back()
	x.struck, x.seen, x.sideways = time.Now(), nil, nil
	f.strike(x)
	healed := time.Now()
	x.flows()
	x.seen = append(x.seen, x.sideways...)
	seen := strings.Join(x.seen, "; ")
	recovered := time.Since(healed)
	eventually(x.t, 3*patience, "health is good again", func() bool {
		_, body, err := x.node.tryGet("/health")
		return err == nil && strings.HasPrefix(body, `{"status":"healthy"`)
	})
	x.exactly()
	var now usage
	eventually(x.t, 3*patience, "nothing has grown", func() bool {
		now = x.use()
		return now.descriptors <= x.before.descriptors+lanes && now.goroutines <= x.before.goroutines+lanes
	})
	if now.resident > x.before.resident+200 {
		x.t.Errorf("%s: %.0f MB resident, %.0f before", f.name, now.resident, x.before.resident)
	}
	x.t.Logf("| %s | %s | records again after %.1f s; clients came back %d times; %d descriptors, %.0f goroutines, "+
		"%.0f MB |", f.name, seen, recovered.Seconds(), x.back()-came, now.descriptors, now.goroutines, now.resident)
}

// back returns how often survivors have connected.
func (x *trial) back() (n int) {
	for _, v := range x.all {
		v.mu.Lock()
		n += v.times
		v.mu.Unlock()
	}
	return n
}

// exactly compares what each survivor has with the topics.
func (x *trial) exactly() {
	x.t.Helper()
	x.pause.Lock()
	defer x.pause.Unlock()
	x.w.flush()
	for _, name := range []string{"feed", "mine"} {
		topic := x.k.read(x.t, name)
		for _, v := range x.all {
			room := name
			if name == "mine" {
				room += ":" + v.user
			}
			wrong := ""
			if !testwait.Holds(patience, func() bool { wrong = v.exactly(room, topic); return wrong == "" }) {
				x.t.Fatalf("%s", wrong)
			}
		}
	}
}

// refused returns how much all limits have refused.
func (x *trial) refused() float64 { return x.node.metric("tapecast_limited_total") }
