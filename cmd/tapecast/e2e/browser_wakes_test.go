package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wakesPage has a clock that is four times as fast, and waits that are the longest. It notes when it woke, when the
// client gave its connection up, and by how much a connection came before its wait was over.
const wakesPage = `<!doctype html><title>tapecast</title><script type="module">
import { connect } from "http://%s/client.js";
const at = window.at = { n: 0, faults: [], state: "", reason: "", wait: 0, woke: 0, lost: 0, early: 0 };
const real = performance.now.bind(performance), timer = setTimeout, now = () => real() * 4;
performance.now = now;
setTimeout = (f, ms = 0) => timer(f, ms / 4);
Math.random = () => 0.999;
const tape = connect({ url: "ws://%s/ws", token: "%s", stream: false });
let due = 0, looked = now();
tape.on("state", (state, why) => {
  at.state = state;
  if (state === "connecting" && due) at.early = Math.max(at.early, due - now());
  if (state !== "waiting") return;
  at.lost = now();
  at.reason = why.reason;
  at.wait = why.wait;
  due = at.lost + why.wait;
});
tape.on("error", (e, room) => at.faults.push(room + ": " + e.code + " " + e.message));
tape.on("gap", (g) => at.faults.push("gap " + JSON.stringify(g)));
tape.room("ticks").on("message", (m) => {
  if (m.data.i !== at.n) at.faults.push(m.data.i + " in place of " + at.n);
  at.n++;
});
document.addEventListener("resume", () => { at.woke = now(); });
const look = () => {
  if (now() - looked > 20_000) at.woke = now();
  looked = now();
  timer(look, 20);
};
look();
</script>`

// waker is a page whose connection dies without a word.
type waker struct {
	*sleeper
	d  *devtools
	is struct {
		N                       int
		Faults                  []string
		State, Reason           string
		Wait, Woke, Lost, Early float64 // ms of the page's clock
	}
}

// until waits for something of the page.
func (w *waker) until(what string, ok func() bool) {
	w.t.Helper()
	eventually(w.t, patience, what, func() bool {
		var answer struct {
			Result struct{ Value string }
		}
		ask := map[string]any{"expression": "JSON.stringify(window.at ?? {})", "returnByValue": true}
		w.d.call("Runtime.evaluate", ask, &answer)
		if err := json.Unmarshal([]byte(answer.Result.Value), &w.is); err != nil {
			w.t.Fatalf("%q: %v", answer.Result.Value, err)
		}
		if len(w.is.Faults) > 0 {
			w.t.Fatalf("waiting for %s: %q", what, w.is.Faults)
		}
		return ok()
	})
}

// has waits until the page has all ticks, each once.
func (w *waker) has(after string) {
	w.t.Helper()
	w.until("all ticks "+after, func() bool { return w.is.N == w.sent })
}

// noticed fails the test unless the page has given the silent connection up soon after it woke. Waiting for
// silence alone takes 50 s of the page's clock at least, and a probe takes 5.
func (w *waker) noticed(after string) {
	w.t.Helper()
	w.until("the end of the connection "+after, func() bool { return w.is.Lost > w.is.Woke && w.is.Woke > 0 })
	// Chromium may end the connection of a page that was frozen by itself.
	if took := w.is.Lost - w.is.Woke; took > 48_000 {
		w.t.Errorf("%s it gave its dead connection up after %.0f ms: %q", after, took, w.is.Reason)
	}
	w.has(after)
}

// TestBrowserWakes: the connection of a page in Chromium dies, and nobody tells it. It notices soon after its
// machine has slept, and after it was frozen. A page that waits long for its next try comes back once its network
// does. It takes each message once.
func TestBrowserWakes(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "ticks", 1)
	conf := config(k, strings.Replace(sleepConfig, "SECRET", fmt.Sprintf("%q", secret), 1))
	w := &waker{sleeper: &sleeper{t: t, g: start(t, conf), w: k.producer(t)}}
	w.cut = newCutProxy(t, w.g.public)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(out, wakesPage, w.g.public, w.cut.addr, tokenFor("42", time.Hour))
	}))
	t.Cleanup(server.Close)
	p := new(page)
	(&site{t: t, server: server}).chromium(p)
	eventually(t, patience, "it is in its room", func() bool { return w.g.metric("tapecast_subscriptions") == 1 })
	w.d = devtoolsOf(t, p)
	w.ticks(100)
	w.has("at first")

	signal := func(s syscall.Signal) {
		if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	slept := time.Now()
	w.cut.current().cut(cutSilent)
	w.ticks(100)
	// By the page's clock more than two turns of 20 s, so that its timer is a whole turn late.
	eventually(t, patience, "a long sleep", func() bool { return time.Since(slept) > 12*time.Second })
	signal(syscall.SIGCONT)
	w.noticed("after its machine has slept")

	w.d.call("Page.setWebLifecycleState", map[string]any{"state": "frozen"}, nil)
	w.cut.current().cut(cutSilent)
	w.ticks(100)
	w.d.call("Page.setWebLifecycleState", map[string]any{"state": "active"}, nil)
	w.noticed("after it was frozen")

	w.offline()
}

// offline takes the page's network until it waits for long.
func (w *waker) offline() {
	w.t.Helper()
	w.d.call("Network.enable", map[string]any{}, nil)
	network := func(off bool) {
		w.d.call("Network.emulateNetworkConditions",
			map[string]any{"offline": off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, nil)
	}
	network(true)
	w.cut.moveTo("127.0.0.1:1") // nobody listens there
	w.cut.current().cut(cutReset)
	w.ticks(100)
	w.until("a long wait", func() bool { return w.is.State == "waiting" && w.is.Wait > 30_000 })
	w.cut.moveTo(w.g.public)
	network(false)
	w.has("after it was offline")
	if w.is.Early < 5000 {
		w.t.Errorf("it came back %.0f ms before its wait of %.0f was over", w.is.Early, w.is.Wait)
	}
}
