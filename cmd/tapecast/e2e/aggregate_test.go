package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goclient "tapecast/server/client"
)

const aggregateConfig = `
limits: {messages_per_second: 0, request_cost: 0, connections_per_user: 0}
classes: {kept: {retain: {age: 5m}}}
rooms:
  - {match: "account:*", class: kept}
auto_join: []
ingest:
  routes:
    - {topic: updates, rooms: ["account:{a}"], type: update}
`

// TestAggregator: state from a database, then the stream, exactly once. An aggregator adds up updates in SQLite,
// with its offsets in the same transaction, and is killed again and again. Clients load an account and its
// positions, and go on from there. They are cut at random, and some begin from nothing again. Each must have
// every update of its account once and in order, whichever half it came by.
func TestAggregator(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_SQLITE") == "" {
		t.Skip("make client runs this: it takes sqlite3")
	}
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("sqlite3 is not installed")
	}
	besideOthers(t)
	const parts = 4
	updates, clients, kills := 40_000, 200, 5
	if scaled().full() {
		updates, clients, kills = 1_000_000, 2000, 100
	}
	k := fakeCluster(t)
	k.topic(t, "updates", parts)
	g := start(t, config(k, aggregateConfig))
	l := newLedger(t, k, "updates", parts)
	want := make([]total, clients)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var ended atomic.Bool
	ends := map[int32]int64{}
	w := k.producer(t)
	sent := w.meanwhile(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range updates {
			a := rand.IntN(clients)
			d := rand.Int64N(2000) - 1000
			want[a] = total{want[a].n + 1, want[a].sum + d}
			ends[int32(a%parts)]++
			w.send("updates", int32(a%parts), fmt.Append(nil, "a", a),
				fmt.Appendf(nil, `{"a":"a%d","n":%d,"d":%d}`, a, want[a].n, d))
			if i%100 == 99 { // some 10,000 a second, so that harm comes meanwhile
				<-tick.C
			}
		}
		w.flush()
		ended.Store(true)
	})
	aggregated := make(chan error, 1)
	go func() {
		aggregated <- l.aggregate(ctx, k.brokers, func() map[int32]int64 {
			if ended.Load() {
				return ends
			}
			return nil
		}, kills)
	}()

	cut := &lineCutter{}
	all := watchAccounts(t, g, l, cut, clients)
	cutting, done := context.WithCancel(ctx)
	var chaos sync.WaitGroup
	chaos.Go(func() { cut.every(cutting, 5*time.Millisecond) })
	chaos.Go(func() { all.renew(cutting, 50*time.Millisecond) })
	<-sent
	if err := <-aggregated; err != nil {
		t.Fatalf("the aggregator: %v", err)
	}
	done()
	chaos.Wait()
	all.check(want)
	l.check(want)
	t.Logf("%d updates, %d clients, %d cuts, %d new clients, %d loads, %d kills of the aggregator", updates, clients,
		cut.cuts, all.renewed, all.loads(), l.kills.Load())
}

// accountViews are the applications of all accounts.
type accountViews struct {
	t       *testing.T
	connect func(i int) *goclient.Tape
	views   []*accountView
	tapes   []*goclient.Tape
	renewed int
}

func watchAccounts(t *testing.T, g *gateway, l *ledger, cut *lineCutter, n int) *accountViews {
	var dialer net.Dialer
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err == nil {
				cut.add(c)
			}
			return c, err
		}}}
	all := &accountViews{t: t, tapes: make([]*goclient.Tape, n)}
	for i := range n {
		all.views = append(all.views, &accountView{l: l, name: fmt.Sprint("a", i)})
	}
	all.connect = func(i int) *goclient.Tape {
		tape, err := goclient.Connect(context.Background(), g.url(), goclient.WithHTTPClient(hc),
			goclient.WithToken(func(context.Context) (string, error) { return g.token(fmt.Sprint("u", i)), nil }))
		if err != nil {
			t.Error(err)
			return nil
		}
		v := all.views[i]
		tape.Room("account:"+v.name, v.options()...)
		return tape
	}
	for i := range n {
		all.tapes[i] = all.connect(i)
	}
	t.Cleanup(func() {
		onAll(n, func(i int) { all.tapes[i].Close() })
	})
	return all
}

// renew ends one client in each interval, and begins another in its place, until the context ends.
func (a *accountViews) renew(ctx context.Context, d time.Duration) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i := rand.IntN(len(a.tapes))
		a.tapes[i].Close()
		a.tapes[i] = a.connect(i)
		a.renewed++
	}
}

// check waits until each client has all of its account.
func (a *accountViews) check(want []total) {
	for i, v := range a.views {
		eventually(a.t, 3*patience, "all updates at "+v.name, func() bool {
			had, _, fault := v.get()
			return had.n >= want[i].n || fault != ""
		})
		if had, _, fault := v.get(); had != want[i] || fault != "" {
			a.t.Errorf("%s has %+v, not %+v; %s", v.name, had, want[i], fault)
		}
	}
}

func (a *accountViews) loads() (n int) {
	for _, v := range a.views {
		_, loads, _ := v.get()
		n += loads
	}
	return n
}
