package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const paceConfig = `
limits: {messages_per_second: 0, request_cost: 0}
classes: {kept: {retain: {age: 5m, bytes: 64MiB}}}
rooms:
  - {match: pace, class: kept}
auto_join: []
ingest:
  routes:
    - {topic: pace, rooms: [pace], key: "{@key}", type: t}
`

// pacePage counts what comes. keys make the client keep the last value of each.
const pacePage = `<!doctype html><title>tapecast</title><script type="module">
import { connect } from "http://%s/client.js";
let n = 0, wrong = 0, gaps = 0, joined = 0;
const keys = Array.from({ length: 50 }, (_, i) => "k" + i);
const room = connect({ url: "ws://%s/ws", token: "%s" }).room("pace", { keys });
room.on("joined", () => joined++);
room.on("gap", () => gaps++);
room.on("message", (m) => { if (m.data.i !== n++) wrong++; });
const report = () => fetch("/report", { method: "POST", body: JSON.stringify({ n, wrong, gaps, joined,
  last: room.last.size, heap: performance.memory.usedJSHeapSize }) }).finally(() => setTimeout(report, 50));
report();
</script>`

// paceReport is what the page says of itself.
type paceReport struct{ N, Wrong, Gaps, Joined, Last, Heap int }

// pacing is a page that is sent messages as fast as it takes them.
type pacing struct {
	t  *testing.T
	mu sync.Mutex
	at paceReport
}

func (p *pacing) now() paceReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

func (p *pacing) await(what string, ok func(paceReport) bool) {
	p.t.Helper()
	eventually(p.t, patience, what, func() bool { return ok(p.now()) })
}

// run sends messages for so long, at most 20,000 ahead of the page, and returns how many there were and what the
// heap was each second.
func (p *pacing) run(w *producer, d time.Duration) (n int, heaps []int) {
	const ahead = 20_000
	pad := strings.Repeat("x", 60)
	began, told := time.Now(), time.Now()
	for time.Since(began) < d || len(heaps) < 3 {
		p.await("the page keeps up", func(r paceReport) bool { return n-r.N < ahead })
		for range 1000 {
			w.send("pace", 0, fmt.Append(nil, "k", n%50), fmt.Appendf(nil, `{"i":%d,"p":"%s"}`, n, pad))
			n++
		}
		if time.Since(told) > time.Second {
			told = time.Now()
			heaps = append(heaps, p.now().Heap)
		}
	}
	w.flush()
	p.await("all messages", func(r paceReport) bool { return r.N >= n })
	return n, heaps
}

// TestBrowserPace: a page in Chromium takes messages as fast as it can, with the last value of each key kept. It
// loses and doubles none, and in a full run of ten minutes its heap does not grow.
func TestBrowserPace(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "pace", 1)
	g := start(t, config(k, paceConfig))
	p := &pacing{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, pacePage, g.public, g.public, g.token("42"))
			return
		}
		var said paceReport
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.at = said
		p.mu.Unlock()
	}))
	t.Cleanup(server.Close)
	(&site{t: t, server: server}).chromium(new(page))
	p.await("the join", func(r paceReport) bool { return r.Joined == 1 })
	during := 3 * time.Second
	if scaled().full() {
		during = 10 * time.Minute
	}
	w, began := k.producer(t), time.Now()
	n, heaps := p.run(w, during)
	perSecond := float64(n) / time.Since(began).Seconds()
	if r := p.now(); r.N != n || r.Wrong+r.Gaps > 0 || r.Last != 50 {
		t.Errorf("of %d messages: %+v", n, r)
	}
	third := len(heaps) / 3
	before, after := slices.Max(heaps[third:max(third+1, 2*third)]), slices.Max(heaps[2*third:])
	t.Logf("%.0f messages a second for %v; at most %.1f MB of heap in the second third, %.1f in the last", perSecond,
		time.Since(began).Round(time.Second), float64(before)/1e6, float64(after)/1e6)
	if scaled().full() && (perSecond < 20_000 || after > before*5/4) {
		t.Error("the bar is 20,000 a second, and a heap that does not grow")
	}
}
