package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// comes returns 0 for a client that is let in, or its close code.
func comes(t testing.TB, g *gateway, token string) int {
	t.Helper()
	c := dial(t, g, dialing{query: "?token=" + token})
	in := false
	c.await("being let in, or closed", func() bool {
		in = slices.ContainsFunc(c.notices, func(n notice) bool { return n.Method == "auto_subscribed" })
		return in || c.closed
	})
	if in {
		c.leave()
		return 0
	}
	return c.awaitClose(patience)
}

// sharingNodes starts two gateways that share what a service has said.
func sharingNodes(t *testing.T) (r *redisServer, a *accounts, k *cluster, nodes [2]*gateway) {
	t.Helper()
	r = startRedis(t)
	k = fakeCluster(t)
	for _, topic := range []string{"trades", "orders", "revoked"} {
		k.topic(t, topic, 1)
	}
	a = newAccounts(t)
	for i := range nodes {
		nodes[i] = start(t, config(k, r.section(a)+authConfig))
	}
	return r, a, k, nodes
}

// TestRedisShares: what one node was told another one need not ask for, also while the service is down.
// Revocations hold all the same, and whoever can write to Redis lets nobody in.
func TestRedisShares(t *testing.T) {
	r, a, k, nodes := sharingNodes(t)
	r.health(nodes[0], "")
	f := func(g *gateway, token string, want int, calls int64) {
		t.Helper()
		before := a.calls.Load()
		if code := comes(t, g, token); code != want || a.calls.Load()-before != calls {
			t.Errorf("%s: closed with %d after %d calls, want %d after %d", token, code, a.calls.Load()-before, want,
				calls)
		}
	}
	stored := func(g *gateway, n float64) {
		t.Helper()
		eventually(t, patience, "it is stored", func() bool { return g.metric("tapecast_redis_stored_total") == n })
	}
	for i, token := range []string{"user-1", "user-2", "user-3"} {
		f(nodes[0], token, 0, 1)
		stored(nodes[0], float64(i+1))
	}
	f(nodes[1], "user-1", 0, 0)
	w := k.producer(t)
	w.send("revoked", anyPartition, []byte("user:2"), []byte("{}"))
	w.flush()
	eventually(t, patience, "it is revoked", func() bool { return nodes[1].metric("tapecast_revocations") == 1 })
	f(nodes[1], "user-2", 4003, 0)

	a.down()
	f(nodes[1], "user-3", 0, 0)
	a.up()

	// All keys get the same entry, which one token of a client has, and then rubbish.
	ctx := context.Background()
	late := start(t, config(k, r.section(a)+authConfig))
	keys, err := r.Keys(ctx, "tapecast:token:*").Result()
	good := ""
	for _, key := range keys {
		good = max(good, r.Get(ctx, key).Val())
	}
	for i, value := range []string{good, "rubbish", string(make([]byte, 1<<20))} {
		for _, key := range keys {
			r.must("set", key, value)
		}
		if code := comes(t, late, "user-"+fmt.Sprint(i+1)); code != 0 && i != 1 {
			t.Errorf("closed with %d", code)
		}
	}
	hits, forged := late.metric("tapecast_redis_hits_total"), late.metric("tapecast_redis_forged_total")
	if err != nil || hits > 1 || forged < 1 {
		t.Errorf("%d keys, %v: %v hits, %v forged", len(keys), err, hits, forged)
	}
	late.noTokens(t, "user-1")
}

// TestRedisTroubles: a real Redis is killed, slow, full, answers rubbish, and comes back. Everybody comes in
// all the while, and health tells the truth.
func TestRedisTroubles(t *testing.T) {
	r, _, _, nodes := sharingNodes(t)
	g, n := nodes[0], atomic.Int64{}
	welcome := func() {
		t.Helper()
		onAll(20, func(int) {
			if code := comes(t, g, fmt.Sprint("user-", n.Add(1))); code != 0 {
				t.Errorf("closed with %d", code)
			}
		})
	}
	f := func(what, says string, harm, heal func()) {
		t.Helper()
		t.Log(what)
		r.health(g, "")
		harm()
		welcome()
		r.health(g, says)
		welcome()
		heal()
		r.health(g, "")
		before := g.metric("tapecast_redis_stored_total")
		welcome()
		eventually(t, patience, "answers are stored", func() bool {
			return g.metric("tapecast_redis_stored_total") >= before+20
		})
	}
	f("killed", "breaker", r.kill, r.up)
	f("slow", "it does not answer in time", func() { r.add("latency", "down", `"latency":1000`) }, r.heal)
	f("no answer", "it does not answer in time", func() { r.add("timeout", "down", `"timeout":0`) }, r.heal)
	f("a byte at a time", "it does not answer in time", func() {
		r.add("slicer", "down", `"average_size":1,"size_variation":0,"delay":200000`)
	}, r.heal)
	f("full", "OOM", func() {
		r.must("config", "set", "maxmemory-policy", "noeviction")
		r.must("config", "set", "maxmemory", "1")
	}, func() { r.must("config", "set", "maxmemory", "0") })
	f("the user is locked out", "NOPERM", func() { r.must("acl", "setuser", "tapecast", "-get", "-set") },
		func() { r.must("acl", "setuser", "tapecast", "+get", "+set") })
	web := &http.Server{Handler: http.NotFoundHandler()}
	f("another server in its place", "protocol", func() {
		r.kill()
		l, err := net.Listen("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		go web.Serve(l)
	}, func() { web.Close(); r.up() })
}

// TestRedisKilledAtRate: Redis is killed and comes back under handshakes at a rate. Nobody is refused. A
// full run prints how long handshakes take with it and without.
func TestRedisKilledAtRate(t *testing.T) {
	r, _, _, nodes := sharingNodes(t)
	rate, each := 20, 5*time.Second
	if scaled().full() {
		rate, each = 500, 30*time.Second
	}
	r.health(nodes[0], "")
	n := 0
	phase := func(what string) (p99 time.Duration) {
		t.Helper()
		took, began := make([]time.Duration, int(each.Seconds()*float64(rate))), time.Now()
		var wg sync.WaitGroup
		for i := range took {
			due(began, time.Duration(i)*time.Second/time.Duration(rate))
			n++
			token, at := fmt.Sprint("user-", n/2), began.Add(time.Duration(i)*time.Second/time.Duration(rate))
			wg.Go(func() {
				if code := comes(t, nodes[i%2], token); code != 0 {
					t.Errorf("%s: closed with %d", what, code)
				}
				took[i] = time.Since(at)
			})
		}
		wg.Wait()
		slices.Sort(took)
		p99 = took[len(took)*99/100]
		t.Logf("%s: %d handshakes at %d/s: p50 %s, p99 %s, most %s", what, len(took), rate, took[len(took)/2], p99,
			took[len(took)-1])
		return p99
	}
	before := phase("with Redis")
	time.AfterFunc(each/4, r.kill)
	down := phase("Redis is killed")
	r.up()
	back := phase("Redis is back")
	if scaled().full() && max(down, back) > 2*before {
		t.Errorf("p99 is %s, and was %s", max(down, back), before)
	}
	r.health(nodes[0], "")
}
