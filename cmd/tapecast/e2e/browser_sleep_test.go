package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const sleepConfig = `
server: {listen: "127.0.0.1:0", ping_every: 500ms}
auth: {secret: SECRET, leeway: 0s}
classes: {kept: {keep: true, retain: {age: 1m}}}
rooms:
  - {match: ticks, class: kept}
auto_join: []
ingest:
  routes:
    - {topic: ticks, rooms: [ticks], type: t}
`

// sleepPage takes each tick once, with tokens that live for a few seconds.
const sleepPage = `<!doctype html><title>tapecast</title><script type="module">
import { connect } from "http://%[1]s/client.js";
const at = { n: 0, opens: 0, faults: [], events: {} };
for (const event of ["offline", "online", "freeze", "resume"]) {
  const count = () => { at.events[event] = (at.events[event] ?? 0) + 1; };
  addEventListener(event, count);
  document.addEventListener(event, count);
}
const token = async () => (await fetch("/token")).text();
const tape = connect({ url: "ws://%[2]s/ws", token, stream: false });
tape.on("state", (s) => { if (s === "open") at.opens++; });
tape.on("error", (e, room) => at.faults.push(room + ": " + e.code + " " + e.message));
tape.on("gap", (g) => at.faults.push("gap " + JSON.stringify(g)));
tape.room("ticks").on("message", (m) => {
  if (m.data.i !== at.n) at.faults.push(m.data.i + " in place of " + at.n);
  at.n++;
});
const real = Date.now, timer = setTimeout;
const report = async () => {
  const body = JSON.stringify({ ...at, faults: at.faults.slice(0, 3) });
  const order = await fetch("/report", { method: "POST", body }).then((r) => r.text()).catch(() => "");
  if (order === "throttle") setTimeout = (f, ms = 0) => timer(f, Math.ceil((ms + 1) / 1000) * 1000);
  else if (order) Date.now = () => real() + Number(order);
  timer(report, 50);
};
report();
</script>`

// sleeper is a page that is put to sleep and woken.
type sleeper struct {
	t    *testing.T
	g    *gateway
	w    *producer
	cut  *cutProxy
	sent int

	mu     sync.Mutex
	tokens int
	order  string // by how much the page's clock is to be off, in ms; or throttle
	at     struct {
		N, Opens int
		Faults   []string
		Events   map[string]int
	}
}

func (s *sleeper) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case "/token":
		s.tokens++
		fmt.Fprint(w, tokenFor("42", 4*time.Second))
	case "/report":
		if err := json.NewDecoder(r.Body).Decode(&s.at); err != nil {
			s.t.Error(err)
		}
		fmt.Fprint(w, s.order)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, sleepPage, s.g.public, s.cut.addr)
	}
}

// await waits for something of the page, under the lock.
func (s *sleeper) await(what string, ok func() bool) {
	s.t.Helper()
	eventually(s.t, patience, what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ok() || len(s.at.Faults) > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.at.Faults) > 0 {
		s.t.Fatalf("waiting for %s: %q", what, s.at.Faults)
	}
}

func (s *sleeper) opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at.Opens
}

func (s *sleeper) ticks(n int) {
	for range n {
		s.w.send("ticks", 0, nil, fmt.Appendf(nil, `{"i":%d}`, s.sent))
		s.sent++
	}
	s.w.flush()
}

// has waits until the page has all ticks, each once.
func (s *sleeper) has(after string) {
	s.t.Helper()
	s.await("all ticks "+after, func() bool { return s.at.N == s.sent })
}

// TestBrowserSleep: a page in Chromium sleeps with its machine, is frozen while its connection dies, loses its
// network, has its timers throttled and its clock set, all with tokens that live for four seconds. It takes each
// message once.
func TestBrowserSleep(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "ticks", 1)
	conf := config(k, strings.Replace(sleepConfig, "SECRET", fmt.Sprintf("%q", secret), 1))
	s := &sleeper{t: t, g: start(t, conf), w: k.producer(t)}
	s.cut = newCutProxy(t, s.g.public)
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	p := new(page)
	(&site{t: t, server: server}).chromium(p)
	eventually(t, patience, "it is in its room", func() bool { return s.g.metric("tapecast_subscriptions") == 1 })
	s.ticks(100)
	s.has("at first")

	// The machine sleeps until the client's token is over, and its connection with it.
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP)
	eventually(t, patience, "the gateway gives it up", func() bool { return s.g.metric("tapecast_subscriptions") == 0 })
	s.ticks(100)
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT)
	s.has("after its machine has slept")

	// The page is frozen, and its connection dies without a word.
	d := devtoolsOf(t, p)
	d.call("Page.setWebLifecycleState", map[string]any{"state": "frozen"}, nil)
	s.cut.current().cut(cutSilent)
	s.ticks(100)
	d.call("Page.setWebLifecycleState", map[string]any{"state": "active"}, nil)
	s.await("the page's resume", func() bool { return s.at.Events["resume"] > 0 })
	s.has("after it was frozen")

	// The network goes, and its connections with it.
	d.call("Network.enable", map[string]any{}, nil)
	network := func(off bool) {
		d.call("Network.emulateNetworkConditions",
			map[string]any{"offline": off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, nil)
	}
	network(true)
	s.cut.current().cut(cutReset)
	s.ticks(100)
	network(false)
	s.await("the page's online", func() bool { return s.at.Events["online"] > 0 })
	s.has("after it was offline")

	// In the background, timers run once a second.
	s.orders("throttle")
	for range 2 {
		s.renews(1)
		s.cut.current().cut(cutClose)
		s.ticks(100)
		s.has("with its timers throttled")
	}

	// The clock jumps, an hour forth and a day back. Only tokens end connections.
	for _, shift := range []time.Duration{time.Hour, -24 * time.Hour} {
		s.orders(fmt.Sprint(shift.Milliseconds()))
		before := s.opens()
		s.renews(3)
		s.ticks(100)
		s.has("after its clock was set")
		if n := s.opens() - before; n > 1 {
			t.Errorf("%d connections after the clock was set by %s", n, shift)
		}
	}
}

// orders has the page do something before its next report.
func (s *sleeper) orders(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = what
}

// renews waits until the page has got so many more tokens.
func (s *sleeper) renews(n int) {
	s.t.Helper()
	s.mu.Lock()
	had := s.tokens
	s.mu.Unlock()
	s.await("its next tokens", func() bool { return s.tokens >= had+n })
}
