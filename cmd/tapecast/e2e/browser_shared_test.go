package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// sharedPages is how many pages share the connection.
const sharedPages = 30

// sharedTop holds the pages in frames, checks that each has the numbers 0, 1, 2 … in turn, and ends the first
// ten of them when it is told to.
const sharedTop = `<!doctype html><title>tapecast</title><script type="module">
const had = {}, faults = [];
onmessage = ({ data: { page, n, fault } }) => {
  if (fault !== undefined || n !== (had[page] ?? 0)) faults.push([page, n, fault]);
  had[page] = n + 1;
};
const frames = Array.from({ length: %d }, (_, i) => {
  const frame = document.createElement("iframe");
  frame.src = "/page?" + i;
  document.body.append(frame);
  return frame;
});
for (;;) {
  const answer = await fetch("/report", { method: "POST", body: JSON.stringify({ had, faults }) });
  if (await answer.text() === "end") {
    for (const [i, frame] of frames.splice(0, 10).entries()) { frame.remove(); delete had[i]; }
  }
  await new Promise((done) => setTimeout(done, 50));
}
</script><body>`

const sharedPage = `<!doctype html><script type="module">
import { connect } from "/shared.js";
const page = +location.search.slice(1), say = (what) => parent.postMessage({ page, ...what }, "*");
const token = async () => (await fetch("/token")).text();
const tape = connect({ url: "ws://%s/ws", token, name: "u", worker: "/shared.js" });
tape.on("error", (e) => say({ fault: e.message }));
const trades = tape.room("trades");
trades.on("joined", () => fetch("/joined"));
trades.on("message", (m) => say({ n: m.data.n }));
trades.on("gap", () => say({ fault: "gap" }));
</script>`

// sharedSite serves the pages, and keeps what they report.
type sharedSite struct {
	gateway *gateway
	proxy   *cutProxy

	mu     sync.Mutex
	joined int
	order  string
	had    map[string]int
	faults []any
}

func (s *sharedSite) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	html := func(format string, args ...any) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, format, args...)
	}
	switch r.URL.Path {
	case "/":
		html(sharedTop, sharedPages)
	case "/page":
		html(sharedPage, s.proxy.addr)
	case "/client.js", "/shared.js": // a worker's script must be of the page's own origin
		got, err := http.Get("http://" + s.gateway.public + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer got.Body.Close()
		w.Header().Set("Content-Type", got.Header.Get("Content-Type"))
		_, _ = io.Copy(w, got.Body)
	case "/token":
		fmt.Fprint(w, s.gateway.token("42"))
	case "/joined":
		s.joined++
	case "/report":
		var report struct {
			Had    map[string]int
			Faults []any
		}
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			report.Faults = []any{err.Error()}
		}
		s.had, s.faults = report.Had, report.Faults
		fmt.Fprint(w, s.order)
		s.order = ""
	}
}

// await waits until that many pages have had n messages each.
func (s *sharedSite) await(t *testing.T, pages, n int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%d messages in %d pages", n, pages), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.faults) > 0 {
			t.Fatalf("faults of page, number and what: %v", s.faults)
		}
		for _, had := range s.had {
			if had != n {
				return false
			}
		}
		return len(s.had) == pages
	})
}

// TestBrowserShared: thirty pages of one origin in Chromium are one connection, by a SharedWorker. Each has
// every message once, also when the first ten of them end and when the connection is cut.
func TestBrowserShared(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"prices", "trades", "orders", "ticks"} {
		k.topic(t, topic, 1)
	}
	g := start(t, config(k, strings.Replace(browserConfig, "SECRET", fmt.Sprintf("%q", secret), 1)))
	s := &sharedSite{gateway: g, proxy: newCutProxy(t, g.public)}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	(&site{t: t, server: server}).chromium(&page{})
	eventually(t, patience, "the joins of all pages", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.joined >= sharedPages
	})
	w, n := k.producer(t), 0
	publish := func() {
		for range 10 {
			w.send("trades", 0, nil, fmt.Appendf(nil, `{"n":%d}`, n))
			n++
		}
		w.flush()
	}
	publish()
	s.await(t, sharedPages, n)
	s.mu.Lock()
	s.order = "end"
	s.mu.Unlock()
	s.await(t, sharedPages-10, n)
	publish()
	s.await(t, sharedPages-10, n)
	if links := s.proxy.count(); links != 1 {
		t.Errorf("%d connections, not one", links)
	}
	s.proxy.current().cut(cutReset)
	publish()
	s.await(t, sharedPages-10, n)
	if links := s.proxy.count(); links != 2 {
		t.Errorf("%d connections, not two", links)
	}
}
