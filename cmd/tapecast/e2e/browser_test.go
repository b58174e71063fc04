package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const browserConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, ping_every: 500ms}
auth: {secret: SECRET, leeway: 0s}
rooms:
  - {match: "prices", class: market}
  - {match: "trades", class: stream}
  - {match: "orders:{owner}", class: private}
  - {match: "ticks:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: prices, rooms: [prices], key: "{@key}", type: price}
    - {topic: trades, rooms: [trades], type: trade}
    - {topic: orders, rooms: ["orders:{@key}"], type: order, partitioner: murmur2}
    - {topic: ticks, rooms: ["ticks:{@key}"], type: tick}
`

const (
	readme     = "../../../README.md"
	clientPage = "../../../server/web/docs/client.md"
)

// theClients returns the two clients of the page about clients, in their exact words.
func theClients(t testing.TB) string {
	return ofPage(t, clientPage, "function tapecast(") + ofPage(t, clientPage, "function roaming(")
}

// TestBrowserClient: the clients of their page, in their exact words, run in node and in Chromium behind
// a proxy that cuts them off. Each order, each trade and each tick comes exactly once over cuts,
// leaves and joins, and from rooms that began meanwhile. A token is renewed. One that is not
// renewed ends the client's work, and a new one resumes it. A topic is created again, and a bad
// token ends everything. `make browser` runs it.
func TestBrowserClient(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes node and Chromium")
	}
	k := fakeCluster(t)
	for topic, partitions := range map[string]int{"prices": 1, "trades": 3, "orders": 2, "ticks": 1} {
		k.topic(t, topic, partitions)
	}
	g := start(t, config(k, strings.Replace(browserConfig, "SECRET", fmt.Sprintf("%q", secret), 1)))
	s := &site{t: t, client: theClients(t)}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.server.Close)
	kinds := []string{"chromium", "node"}
	flags, why := nodeFlags()
	if why != "" {
		t.Logf("browser: %s: skipped, only Chromium runs", why)
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		for _, roams := range []bool{false, true} {
			s.pages = append(s.pages, newPage(t, kind, roams, newCutProxy(t, g.public)))
		}
	}
	w := k.producer(t)
	feed := newPageFeed(w)
	for _, p := range s.pages {
		if p.kind == "node" {
			s.node(p, flags)
		} else {
			s.chromium(p)
		}
	}
	for _, p := range s.pages {
		p.await("the rooms", func() bool { return p.heard["snapshot_end"] > 0 })
	}
	feed.begin(w, s.pages)
	t.Cleanup(func() { feed.stop() })

	for _, p := range s.pages {
		p.await("orders, trades and prices", func() bool {
			return p.orders > 0 && len(p.at["trades"]) == 3 && len(p.prices) > 0 && (p.ticks > 0 || !p.roams)
		})
	}
	s.cuts(feed)
	s.tokens()
	n := feed.stop()
	for _, p := range s.pages {
		p.await("all there is", func() bool {
			return p.orders == n && maps.Equal(p.prices, feed.prices) && sum(p.at["trades"]) == int64(n-3) &&
				(p.ticks == n || !p.roams)
		})
	}
	s.remade(k, n)
	s.refused()
	for _, p := range s.pages {
		p.check()
		t.Logf("%s: %d orders over %d connections, which ended with %v; heard %v",
			p.user, p.orders, p.cut.count(), p.codes, p.heard)
	}
}

func sum(at map[int]int64) (n int64) {
	for _, off := range at {
		n += off
	}
	return n
}

// TestBrowserWaits: what the page's client does for each close code, error and notice, with
// sockets and a clock of the test's own.
func TestBrowserWaits(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes node")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("browser: there is no node: the client's waits are skipped")
	}
	test, err := os.ReadFile("testdata/browser_waits.js")
	if err != nil {
		t.Fatal(err)
	}
	usage := "const usage = (fetch) => {\n" + ofPage(t, clientPage, `= tapecast("ws`) + "};\n"
	out, err := exec.Command("node", written(t, "client.js", theClients(t)+usage+string(test))).CombinedOutput()
	if err != nil || string(out) != "all of it holds\n" {
		t.Fatalf("%v\n%s", err, out)
	}
}

// ofPage returns the block of JavaScript on a page that has these words in it.
func ofPage(t testing.TB, page, words string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(b), "\n```js\n")[1:] {
		if code, _, ok := strings.Cut(block, "\n```\n"); ok && strings.Contains(code, words) {
			return code + "\n"
		}
	}
	t.Fatalf("%s has no block ```js with %s", page, words)
	return ""
}

// pageFeed publishes to all pages, each order to each user.
type pageFeed struct {
	prices map[string]int
	done   chan struct{}
	ended  <-chan struct{}
	once   sync.Once
	n      atomic.Int64 // orders of each user
}

// newPageFeed publishes prices, so that clients get a snapshot.
func newPageFeed(w *producer) *pageFeed {
	f := &pageFeed{prices: map[string]int{}, done: make(chan struct{})}
	for i := range 100 {
		key := fmt.Sprint("k", i)
		w.send("prices", 0, []byte(key), []byte(`{"n":-1}`))
		f.prices[key] = -1
	}
	w.flush()
	return f
}

func (f *pageFeed) begin(w *producer, pages []*page) {
	f.ended = w.meanwhile(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ; ; f.n.Add(1) {
			select {
			case <-tick.C:
			case <-f.done:
				w.flush()
				return
			}
			n := int(f.n.Load())
			value := fmt.Appendf(nil, `{"n":%d}`, n)
			for _, p := range pages {
				w.send("orders", anyPartition, []byte(p.user), value)
			}
			w.send("trades", int32(n%3), nil, value)
			w.send("ticks", 0, fmt.Appendf(nil, "t%d", n/ticksEach), value)
			key := fmt.Sprint("k", n%100)
			w.send("prices", 0, []byte(key), value)
			f.prices[key] = n
		}
	})
}

// stop returns how many orders each user was sent.
func (f *pageFeed) stop() int {
	f.once.Do(func() { close(f.done) })
	<-f.ended
	return int(f.n.Load())
}

// cuts cuts each page off at random moments, once without either end noticing.
func (s *site) cuts(feed *pageFeed) {
	const most = 8
	onAll(len(s.pages), func(n int) {
		p := s.pages[n]
		for i := range most {
			p.await("a connection to cut", func() bool { return p.heard["auto_subscribed"] > i })
			moment := feed.n.Load() + rand.Int64N(80)
			p.await("the moment to cut it", func() bool { return feed.n.Load() >= moment })
			how := cutClose + cutHow(rand.IntN(2))
			if i == most/2 {
				how = cutSilent
			}
			p.cut.current().cut(how)
		}
		p.set(func() { p.order = "stay" })
		p.await("the end of the cuts", func() bool { return p.heard["auto_subscribed"] > most })
	})
}

// tokens lets tokens be renewed, and then not.
func (s *site) tokens() {
	onAll(len(s.pages), func(n int) {
		p := s.pages[n]
		links, asked, joins := 0, 0, 0
		p.await("two renewals on one connection", func() bool {
			if now := p.cut.count(); now != links {
				links, asked = now, p.asked
			}
			return p.asked >= asked+2
		})
		ended := 0 // a busy machine may have ended one that early
		p.set(func() { p.tokens, ended = "none", p.codes[4201] })
		p.await("the token's end", func() bool { return p.codes[4201] > ended })
		p.set(func() { p.tokens, joins = "good", p.heard["auto_subscribed"] })
		p.await("another session", func() bool { return p.heard["auto_subscribed"] > joins })
	})
}

// remade creates the topic of orders again: no new order is lost, then and over a cut.
func (s *site) remade(k *cluster, n int) {
	k.deleteTopic(s.t, "orders")
	k.topic(s.t, "orders", 2)
	w := k.producer(s.t)
	for range 2 {
		for _, p := range s.pages {
			for i := range 20 {
				w.send("orders", anyPartition, []byte(p.user), fmt.Appendf(nil, `{"n":%d}`, n+i))
			}
		}
		w.flush()
		n += 20
		for _, p := range s.pages {
			p.await("orders of the topic made again", func() bool { return p.heard["reset"] == 1 && p.orders == n })
			joins := 0
			p.set(func() { joins = p.heard["auto_subscribed"] })
			p.cut.current().cut(cutReset)
			p.await("a resume in the new epoch", func() bool { return p.heard["auto_subscribed"] > joins })
		}
	}
}

// refused makes the next token a bad one. After that the client does not come back.
func (s *site) refused() {
	for _, p := range s.pages {
		p.set(func() { p.tokens, p.wanted[-32002] = "bad", true })
		p.cut.current().cut(cutClose)
		p.await("the refusal", func() bool { return p.codes[4001] == 1 })
	}
	counts := func() (n []int) {
		for _, p := range s.pages {
			p.set(func() { n = append(n, p.asked, p.cut.count()) })
		}
		return n
	}
	was := counts()
	for _, p := range s.pages {
		n := 0
		p.set(func() { n = p.reports + 30 }) // 1.5 s: it would wait one second at most
		p.await("more reports", func() bool { return p.reports >= n })
	}
	if now := counts(); !slices.Equal(now, was) {
		s.t.Errorf("it was refused for good and came back: %v, then %v", was, now)
	}
	for _, p := range s.pages {
		p.set(func() { p.order = "end" })
	}
}
