package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const blockedConfig = `
server: {listen: "127.0.0.1:0", ping_every: 500ms}
classes: {kept: {keep: true, retain: {age: 1m}}, market: {conflate: true, snapshot: true}}
rooms:
  - {match: ticks, class: kept}
  - {match: prices, class: market}
  - {match: "deals:*", class: kept}
auto_join: []
ingest:
  routes:
    - {topic: ticks, rooms: [ticks], type: t}
    - {topic: prices, rooms: [prices], key: "{@key}", type: t}
    - {topic: deals, rooms: ["deals:{@key}"], type: t}
`

// refusing configures a haproxy before two gateways. It uses the second one when the first is gone, and
// refuses upgrades.
const refusing = `
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend public
  bind fd@3
  http-request deny deny_status 403 if { req.hdr(Upgrade) -m found }
  default_backend gateways
backend gateways
  option redispatch
  server one %s check inter 200ms fall 1 on-marked-down shutdown-sessions
  server two %s backup
`

// blockedPage reads three rooms where there is no WebSocket, and leaves and joins one in between.
const blockedPage = `<!doctype html><title>tapecast</title><script type="module">
import { connect } from "http://%[1]s/client.js";
const at = { ticks: 0, prices: {}, deals: 0, faults: [], opens: 0, snapshots: 0 };
const tape = connect({ url: "ws://%[1]s/ws", token: "%[2]s" });
tape.on("state", (s) => { if (s === "open") at.opens++; });
tape.on("error", (e, room) => at.faults.push(room + ": " + e.code + " " + e.message));
tape.on("gap", (g) => at.faults.push("gap " + JSON.stringify(g)));
tape.on("notice", (method) => { if (method === "snapshot_end") at.snapshots++; });
const next = {}; // by room
const take = (name, step) => (m) => {
  const want = next[m.room] ?? m.data.i %% step;
  if (m.data.i !== want) at.faults.push(m.room + ": " + m.data.i + " in place of " + want);
  next[m.room] = want + step;
  at[name]++;
};
tape.room("ticks").on("message", take("ticks", 1));
tape.room("deals:*").on("message", take("deals", 10)); // a room for each of ten keys
let prices = tape.room("prices");
prices.on("message", (m) => { at.prices[m.key] = m.data.i; });
const report = async () => {
  const said = { ...at, sum: Object.values(at.prices).reduce((a, b) => a + b, 0), faults: at.faults.slice(0, 3) };
  const answer = await fetch("/report", { method: "POST", body: JSON.stringify(said) });
  if (await answer.text() === "again") { // leaves a room, and joins it
    prices.leave();
    at.prices = {};
    prices = tape.room("prices");
    prices.on("message", (m) => { at.prices[m.key] = m.data.i; });
  }
  setTimeout(report, 50);
};
report();
</script>`

// blockedReport is what the page has seen.
type blockedReport struct {
	Ticks, Deals, Sum, Opens, Snapshots int
	Faults                              []string
}

// blocked is a page behind the proxy.
type blocked struct {
	t     *testing.T
	mu    sync.Mutex
	at    blockedReport
	again bool // the page is to leave a room and join it
}

func (b *blocked) serve(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, page)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if err := json.NewDecoder(r.Body).Decode(&b.at); err != nil {
			b.t.Error(err)
		}
		if b.again {
			b.again = false
			fmt.Fprint(w, "again")
		}
	}
}

func (b *blocked) await(what string, ok func(blockedReport) bool) {
	b.t.Helper()
	var at blockedReport
	eventually(b.t, patience, what, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		at = b.at
		return len(at.Faults) > 0 || ok(at)
	})
	if len(at.Faults) > 0 {
		b.t.Fatalf("waiting for %s: %q", what, at.Faults)
	}
}

// passedSocket returns a listening socket for a program to inherit, and its address. The kernel chooses the port.
func passedSocket(t *testing.T) (socket *os.File, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if socket, err = ln.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	return socket, ln.Addr().String()
}

// haproxy starts the proxy, and returns its address.
func haproxy(t *testing.T, one, two *gateway) string {
	t.Helper()
	socket, addr := passedSocket(t)
	defer socket.Close()
	file := written(t, "haproxy.cfg", fmt.Sprintf(refusing, one.public, two.public))
	cmd := exec.Command("haproxy", "-db", "-f", file)
	var said strings.Builder
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{socket}, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		suite.reap.tell("ended", cmd.Process.Pid)
		if t.Failed() {
			t.Logf("haproxy said: %s", said.String())
		}
	})
	return addr
}

// TestBrowserStream: a page in Chromium behind a haproxy that lets no upgrade through reads events instead.
// Its gateway is killed, and it goes on at the other one. It leaves a room, and joins it again. Each
// message of its rooms comes once, with no gap, and the last values are those of the topic.
func TestBrowserStream(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium and haproxy")
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("make browser installs haproxy, which this takes")
	}
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"ticks", "prices", "deals"} {
		k.topic(t, topic, 1)
	}
	one, two := start(t, config(k, blockedConfig)), start(t, config(k, blockedConfig))
	public := haproxy(t, one, two)
	b := &blocked{t: t}
	server := httptest.NewServer(b.serve(fmt.Sprintf(blockedPage, public, one.token("42"))))
	t.Cleanup(server.Close)
	(&site{t: t, server: server}).chromium(new(page))
	b.await("the page is in", func(r blockedReport) bool { return r.Opens > 0 })

	w, n := k.producer(t), 0
	send := func(count int) (sum int) {
		for range count {
			for _, topic := range []string{"ticks", "prices", "deals"} {
				w.send(topic, 0, fmt.Append(nil, "k", n%10), fmt.Appendf(nil, "{\n\"i\":%d}", n))
			}
			n++
		}
		w.flush()
		return 10*(n-1) - 45 // of the last ten
	}
	eventually(t, patience, "it is in its rooms", func() bool {
		return one.metric("tapecast_subscriptions") == 2 && one.metric("tapecast_wildcards") == 1
	})
	has := func(sum int) func(blockedReport) bool {
		return func(r blockedReport) bool { return r.Ticks == n && r.Deals == n && r.Sum == sum }
	}
	b.await("the first messages", has(send(500)))
	if one.metric("tapecast_streams_total") == 0 {
		t.Error("the first gateway has no stream")
	}
	one.cmd.Process.Kill()
	b.await("those on the other gateway", has(send(500)))
	b.mu.Lock()
	before := b.at
	b.again = true
	b.mu.Unlock()
	b.await("the room that was left and joined", func(r blockedReport) bool {
		return r.Snapshots > before.Snapshots && r.Sum == 10*(n-1)-45
	})
	b.await("the last messages", has(send(500)))
	if s := two.metric("tapecast_streams_total"); s < 2 {
		t.Errorf("the second gateway has had %v streams", s)
	}
}
