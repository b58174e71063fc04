package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodePacing is a client in node that takes runs of messages from the tape as fast as it can. What feeds the gateway
// rests meanwhile.
type nodePacing struct {
	t     *testing.T
	g     *gateway
	w     *producer
	in    io.Writer
	epoch string
	sent  int

	mu   sync.Mutex
	said []nodeRun
}

// nodeRun is what node says of a run: how long it took, by the clock and in time of a processor.
type nodeRun struct {
	At          map[string]any // the first line alone
	Mode        string
	MS, CPU     float64
	Wrong, Last int
	Gaps        []any
	Heap        float64
}

// start starts node, and learns where the room begins.
func (p *nodePacing) start(flags []string) {
	p.t.Helper()
	bundle, err := filepath.Abs("../../../server/client/js/dist/client.js")
	if err != nil {
		p.t.Fatal(err)
	}
	args := append(slices.Clone(flags), "--expose-gc", "testdata/pace.mjs", "file://"+bundle,
		"ws://"+p.g.public+"/ws", p.g.token("42"))
	cmd := exec.Command("node", args...)
	if p.in, err = cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		lines(out, p.hear)
	}()
	p.t.Cleanup(func() {
		p.in.(io.Closer).Close() // it ends
		<-heard
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("node: %v\n%s", err, said.String())
		}
		suite.reap.tell("ended", cmd.Process.Pid)
	})
	p.epoch, _ = p.next().At["epoch"].(string)
}

func (p *nodePacing) hear(line []byte) {
	var r nodeRun
	if err := json.Unmarshal(line, &r); err != nil {
		p.t.Errorf("node says %s", line)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, r)
}

// next waits for what node says.
func (p *nodePacing) next() (r nodeRun) {
	p.t.Helper()
	eventually(p.t, patience, "node has taken the run", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.said) == 0 {
			return false
		}
		r, p.said = p.said[0], p.said[1:]
		return true
	})
	return r
}

// run puts so many messages onto the tape, has them taken in each mode, and returns what that took.
func (p *nodePacing) run(count int, modes ...string) (runs []nodeRun) {
	p.t.Helper()
	first, pad := p.sent, strings.Repeat("x", 60)
	for range count {
		p.w.send("pace", 0, fmt.Append(nil, "k", p.sent%50), fmt.Appendf(nil, `{"i":%d,"p":"%s"}`, p.sent, pad))
		p.sent++
	}
	p.w.flush()
	eventually(p.t, patience, "all is on the tape",
		func() bool { return p.g.metric("tapecast_ingest_records_total") >= float64(p.sent) })
	for _, mode := range modes {
		order := map[string]any{"mode": mode, "since": map[string]any{"epoch": p.epoch, "0": first - 1}, "count": count}
		if err := json.NewEncoder(p.in).Encode(order); err != nil {
			p.t.Fatal(err)
		}
		r := p.next()
		if r.Mode != mode || r.Wrong+len(r.Gaps) > 0 || mode == "client" && r.Last != 50 {
			p.t.Fatalf("%s: %+v", mode, r)
		}
		runs = append(runs, r)
	}
	return runs
}

// TestNodePace: a client in node takes messages from the tape as fast as it can, with the last value of each key
// kept, all of them and in order. A full run takes them for a minute, its heap must not grow, and its log compares
// the pace with a socket's on which nothing reads the messages, or JSON.parse alone does.
func TestNodePace(t *testing.T) {
	flags, why := nodeFlags()
	if why != "" {
		t.Skip(why)
	}
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "pace", 1)
	p := &nodePacing{t: t, g: start(t, config(k, paceConfig)), w: k.producer(t)}
	p.start(flags)
	count, during := 20_000, time.Duration(0)
	if scaled().full() {
		count, during = 200_000, time.Minute
	}
	paces, costs := map[string][]float64{}, map[string][]float64{}
	var heaps []float64
	taken := time.Duration(0)
	for taken < during || len(heaps) < 3 {
		for _, r := range p.run(count, "client", "parsed", "bare") {
			paces[r.Mode] = append(paces[r.Mode], float64(count)/r.MS*1000)
			costs[r.Mode] = append(costs[r.Mode], r.CPU*1000/float64(count))
			if r.Mode == "client" {
				heaps = append(heaps, r.Heap)
				taken += time.Duration(r.MS * float64(time.Millisecond))
			}
		}
	}
	for _, mode := range []string{"client", "parsed", "bare"} {
		t.Logf("%s: %.0f messages a second and %.1f µs of a processor each, the medians of %d runs of %d",
			mode, median(paces[mode]), median(costs[mode]), len(paces[mode]), count)
	}
	third := len(heaps) / 3
	before, after := slices.Max(heaps[third:2*third]), slices.Max(heaps[2*third:])
	t.Logf("at most %.1f MB of heap in the second third, %.1f in the last", before/1e6, after/1e6)
	if scaled().full() && after > before*1.1 {
		t.Error("the heap grows")
	}
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
