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
	on    ground
	k     *cluster
	kafka *toxic // nil: brokers of a real Kafka, which are killed instead
	front *toxic
	w     *producer
	ended <-chan struct{} // nothing is produced any more
	file  string          // of the configuration
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
	skipped  string   // why a fault cannot be had here
	rows     []string // of the table
	at       map[int32]int64
}

// ground is what a trial stands on. The zero value is a Kafka in this process behind a proxy, clients
// behind another one, and tokens of the suite's own secret.
type ground struct {
	base   string   // of the configuration; "": trialConfig
	more   string   // of the configuration
	topics []string // besides feed, mine and bad
	how    dialing  // of the clients
	env    []string
	kafka  func(testing.TB) (*cluster, *toxic)
	token  func(user string) string
	inside *namespace // where the clients are
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
  - {match: "other", class: small}
classes:
  kept: {retain: {bytes: 64MiB, age: 10m}}
  small: {compress: true}
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
	return newTrialOn(t, ground{more: more, env: env})
}

func newTrialOn(t *testing.T, on ground) *trial {
	t.Helper()
	if on.kafka == nil {
		on.kafka = poisonedCluster
	}
	if on.base == "" {
		on.base = trialConfig
	}
	if on.token == nil { // good for longer than any step of a clock
		on.token = func(user string) string { return tokenFor(user, 6*time.Hour) }
	}
	x := &trial{t: t, on: on, env: on.env}
	x.k, x.kafka = on.kafka(t)
	x.k.topic(t, "feed", 3)
	x.k.topic(t, "mine", 2)
	x.k.topic(t, "bad", 1)
	for _, name := range on.topics {
		x.k.topic(t, name, 1)
	}
	x.file = filepath.Join(t.TempDir(), "tapecast.yaml")
	x.configure(on.more)
	x.start()
	x.node.ready()
	x.front = poison(t, "front", x.node.public)
	x.w = x.k.producer(t, "message.timeout.ms", 600_000)
	x.ended = x.w.meanwhile(x.produce)
	t.Cleanup(func() { <-x.ended })
	for i := range 6 {
		user := fmt.Sprint("s", i)
		x.all = append(x.all, survive(t, user, []string{"feed", "mine:" + user}, x.open))
	}
	x.flows()
	x.before = x.use()
	return x
}

func (x *trial) configure(more string) {
	x.t.Helper()
	yaml := config(x.k, x.on.base+more)
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

// open connects a survivor.
func (x *trial) open(user string) (*client, error) {
	x.mu.Lock()
	g, to, inside := x.node, x.front.addr(), x.on.inside
	x.mu.Unlock()
	if inside != nil { // from there the proxy cannot be reached
		to = ""
	}
	d := x.on.how
	d.to, d.inside, d.within, d.query = to, inside, silence, "?join=manual&token="+x.on.token(user)
	return tryDial(x.t, g, d)
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
	after := time.Since(x.struck)
	x.seen = append(x.seen, fmt.Sprintf("health after %.1f s: %.90s", after.Seconds(), said))
	if scaled().full() && after > 5*time.Second {
		x.t.Errorf("health says it after %s, the bar is 5 s", after)
	}
}

func (x *trial) note(format string, args ...any) {
	x.sideways = append(x.sideways, fmt.Sprintf(format, args...))
}

func (x *trial) use() usage {
	return usage{x.node.descriptors(), x.node.metric("go_goroutines"), x.node.resident()}
}

// skip says why a fault cannot be had on this machine.
func (x *trial) skip(format string, args ...any) { x.skipped = fmt.Sprintf(format, args...) }

// run lets the trial go through the faults, one after the other, and prints the table.
func (x *trial) run(faults []fault) {
	for _, f := range faults {
		if x.t.Failed() {
			return
		}
		x.t.Run(f.name, func(t *testing.T) {
			if x.through(f); x.skipped != "" {
				t.Skip(x.skipped)
			}
		})
	}
	if len(x.rows) == 0 { // none of these has a name that is wanted
		return
	}
	fmt.Printf("\n| fault | seen | records again after, s | came back | descriptors, goroutines, MB |\n"+
		"|---|---|---|---|---|\n%s\n", strings.Join(x.rows, ""))
}

// row adds to the table. What is another one in each run is left out.
func (x *trial) row(f fault, seen, rest string) {
	seen = moving.ReplaceAllString(strings.ReplaceAll(seen, "|", "/"), "…")
	if r := []rune(seen); len(r) > 110 {
		seen = string(r[:109]) + "…"
	}
	x.rows = append(x.rows, fmt.Sprintf("| %s | %s | %s |\n", f.name, seen, rest))
}

// moving matches times, and directories of a test.
var moving = regexp.MustCompile(`20\d\d-\d\d-\d\dT[\d:.]+Z|/\S*/`)

// through does a fault and checks that all is as it was.
func (x *trial) through(f fault) {
	x.t.Helper()
	came := x.back()
	x.struck, x.seen, x.sideways, x.skipped = time.Now(), nil, nil, ""
	f.strike(x)
	if x.skipped != "" {
		x.row(f, "skipped: "+x.skipped, "| |")
		return
	}
	healed := time.Now()
	x.flows()
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
	x.row(f, strings.Join(append(x.seen, x.sideways...), "; "), fmt.Sprintf("%.1f | %d | %d, %.0f, %.0f",
		recovered.Seconds(), x.back()-came, now.descriptors, now.goroutines, now.resident))
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
	x.still(x.compare)
}

// still does something while nothing is produced, and all that was is in the topics.
func (x *trial) still(do func()) {
	x.t.Helper()
	x.pause.Lock()
	defer x.pause.Unlock()
	x.w.flush()
	do()
}

// compare is for a moment in which nothing is produced.
func (x *trial) compare() {
	x.t.Helper()
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
