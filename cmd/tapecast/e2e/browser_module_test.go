package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// heardModule is what testdata/module.mjs has written down.
type heardModule struct {
	mu     sync.Mutex
	joined map[string]int
	last   map[string]int64 // by room and partition
	n      map[string]int   // how many messages came, by what the room's name begins with
	seen   map[string]bool  // room and number
	faults []string
}

func (h *heardModule) line(b []byte) {
	var m struct {
		Joined, Room, Pos string
		N                 int
		Fault             any
	}
	err := json.Unmarshal(b, &m)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil || m.Fault != nil:
		h.faults = append(h.faults, string(b))
	case m.Joined != "":
		h.joined[m.Joined]++
	default:
		part, off, err := parsePos(m.Pos)
		place, number := fmt.Sprint(m.Room, " ", part), fmt.Sprint(m.Room, " ", m.N)
		if last, ok := h.last[place]; err != nil || ok && off <= last || h.seen[number] {
			h.faults = append(h.faults, "twice, or out of order: "+string(b))
		}
		h.last[place], h.seen[number] = off, true
		begin, _, _ := strings.Cut(m.Room, ":")
		h.n[begin]++
	}
}

// await waits until ok holds, which is called under the lock.
func (h *heardModule) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventually(t, patience, what, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return ok() || len(h.faults) > 0
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) > 0 {
		t.Fatalf("%d faults, the first: %s", len(h.faults), h.faults[0])
	}
}

// TestBrowserModule: the client that the gateway serves, in node. It is cut off, and then its node
// is killed. On the other node it has every message of its rooms and its wildcard exactly once.
func TestBrowserModule(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes node")
	}
	flags, why := nodeFlags()
	if why != "" {
		t.Skip("browser: " + why)
	}
	besideOthers(t)
	k := fakeCluster(t)
	for topic, partitions := range map[string]int{"prices": 1, "trades": 3, "orders": 2, "ticks": 1} {
		k.topic(t, topic, partitions)
	}
	yaml := config(k, strings.Replace(browserConfig, "SECRET", fmt.Sprintf("%q", secret), 1))
	one, other := start(t, yaml), start(t, yaml)
	proxy := newCutProxy(t, one.public)
	h := &heardModule{joined: map[string]int{}, last: map[string]int64{}, n: map[string]int{}, seen: map[string]bool{}}
	args := append(flags, "testdata/module.mjs", "http://"+other.public, "ws://"+proxy.addr+"/ws", one.token("42"),
		"trades", "orders:42", "ticks:*")
	cmd := exec.Command("node", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			h.line(lines.Bytes())
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait() // it was killed
		suite.reap.tell("ended", cmd.Process.Pid)
	})
	h.await(t, "the joins", func() bool { return len(h.joined) == 3 })

	w := k.producer(t)
	feed := newPageFeed(w)
	feed.begin(w, []*page{{user: "42"}})
	t.Cleanup(func() { feed.stop() })
	more := func() {
		n := int(feed.n.Load()) + 100
		h.await(t, "more of all rooms", func() bool { return min(h.n["trades"], h.n["orders"], h.n["ticks"]) > n })
	}
	more()
	proxy.current().cut(cutReset)
	h.await(t, "another join", func() bool { return h.joined["trades"] == 2 })
	more()
	proxy.moveTo(other.public)
	if err := one.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	more()
	n := feed.stop()
	h.await(t, "all there is", func() bool { return h.n["trades"] == n && h.n["orders"] == n && h.n["ticks"] == n })
	t.Logf("%d messages of each topic over %d connections", n, proxy.count())
}

// TestBrowserReadme: README's example, in its exact words but for the addresses, in Chromium.
func TestBrowserReadme(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	k := fakeCluster(t)
	for _, topic := range []string{"prices", "trades", "orders", "ticks"} {
		k.topic(t, topic, 1)
	}
	yaml := strings.Replace(browserConfig, `match: "prices"`, `match: "prices:*"`, 1)
	yaml = strings.Replace(yaml, "rooms: [prices]", `rooms: ["prices:{@key}"]`, 1)
	g := start(t, config(k, strings.Replace(yaml, "SECRET", fmt.Sprintf("%q", secret), 1)))
	code := strings.ReplaceAll(ofPage(t, readme, "/client.js"), "127.0.0.1:8080", g.public)
	const before = `<!doctype html><title>tapecast</title><script>
const said = (...all) => fetch("/said", { method: "POST", body: all.join(" ") });
for (const name of ["log", "error"]) console[name] = said;
onerror = (e) => console.log(e); onunhandledrejection = (e) => console.log(e.reason);
</script><script type="module">
`
	var mu sync.Mutex
	var said []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, before, code, "</script>")
		case "/token":
			fmt.Fprint(w, g.token("42"))
		case "/said":
			b, _ := io.ReadAll(r.Body)
			mu.Lock()
			said = append(said, string(b))
			mu.Unlock()
		}
	}))
	t.Cleanup(server.Close)
	s := &site{t: t, server: server}
	s.chromium(&page{})
	w := k.producer(t)
	heard := func(what string) {
		t.Helper()
		eventually(t, patience, what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(strings.Join(said, "\n"), what)
		})
	}
	defer func() { t.Logf("the page said %q", said) }()
	heard("open")
	w.send("prices", 0, []byte("BTCUSDT"), []byte(`{"c":"97000.5"}`))
	heard("BTCUSDT 97000.5")
	// Both rooms are joined by one request. That of orders begins with nothing, so that it must be joined by now.
	w.send("orders", 0, []byte("42"), []byte(`{"id":7}`))
	heard("order 7")
}
