package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuedToken returns a token of an hour that was issued now.
func issuedToken(user, jti string) string {
	now := time.Now()
	claims := jwt.RegisteredClaims{Subject: user, ID: jti, IssuedAt: jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return s
}

// crew is a crowd on two nodes, some guests of each user on each.
type crew struct {
	*crowd
	nodes []*gateway
	in    map[int]bool // guests that joined
	codes map[int]int  // and how those ended that did
	last  []time.Time  // when the last of a node ended
}

func newCrew(t *testing.T, guests, users int, nodes ...*gateway) *crew {
	c := &crew{crowd: newCrowd(t, guests, func(n int) string { return fmt.Sprint("u", n/len(nodes)%users) }),
		nodes: nodes, in: map[int]bool{}, codes: map[int]int{}, last: make([]time.Time, len(nodes))}
	c.do(func() {
		c.said = func(g *guest, method string, _ notified) {
			if method == "auto_subscribed" {
				c.in[g.n] = true
			}
		}
		c.ended = func(g *guest, code int) { c.codes[g.n], c.last[g.n%len(nodes)] = code, time.Now() }
	})
	return c
}

// query has a new token of the guest, with the same jti each time.
func (c *crew) query(g *guest) string { return "?token=" + issuedToken(g.user, fmt.Sprint("t", g.n)) }

// meet connects all guests.
func (c *crew) meet() {
	c.t.Helper()
	c.arrive(0, func(g *guest) (*gateway, string, []byte) { return c.nodes[g.n%len(c.nodes)], c.query(g), nil })
	c.await(time.Minute, "all are in", func() bool { return len(c.in) == len(c.guests) })
}

// again connects a guest once more to a node, and returns how that ends; 0: it is in.
func (c *crew) again(n int, node *gateway) (code int) {
	c.t.Helper()
	g := c.guests[n]
	c.do(func() {
		c.drop(g)
		delete(c.in, n)
		delete(c.codes, n)
	})
	if err := c.dial(g, node, c.query(g), nil); err != nil {
		c.t.Fatal(err)
	}
	c.await(patience, "an end, or a start", func() bool { code = c.codes[n]; return c.in[n] || code != 0 })
	return code
}

// closes waits until exactly these guests were closed with a code, and forgets that.
func (c *crew) closes(what string, code int, of func(g *guest) bool, do func()) {
	c.t.Helper()
	want := map[int]int{}
	c.do(func() {
		clear(c.codes)
		for _, g := range c.guests {
			if g.fd >= 0 && of(g) {
				want[g.n] = code
			}
		}
	})
	if len(want) < len(c.nodes) {
		c.t.Fatalf("%s: only %d are meant", what, len(want))
	}
	began := time.Now()
	c.do(func() {
		for i := range c.last {
			c.last[i] = began
		}
	})
	do()
	c.await(patience, what, func() bool { return len(c.codes) >= len(want) })
	c.do(func() {
		var after []time.Duration
		for _, at := range c.last {
			after = append(after, at.Sub(began).Round(time.Millisecond))
		}
		c.t.Logf("%s: %d of %d connections closed, the last on each node after %v", what, len(want),
			len(c.guests), after)
		// Of all that are connected each hears of it in its turn, so the bar is for those of one user.
		if took := slices.Max(after); scaled().full() && took > time.Second && len(want) < len(c.guests)/2 {
			c.t.Errorf("%s: closed after %s, the bar is 1 s", what, took)
		}
		if !maps.Equal(c.codes, want) {
			c.t.Errorf("%s: %d were closed, %v, want %d with %d", what, len(c.codes), c.codes, len(want), code)
		}
	})
}

// TestRevocations: a revocation closes the connections that it means on every node and no others, and
// their tokens are refused from then on, also by a node that starts later, until it is lifted.
func TestRevocations(t *testing.T) {
	besideOthers(t)
	onEach(t, func(t *testing.T, k *cluster) {
		guests, users := 300, 30
		if k.full() {
			guests, users = 10_000, 1000
		}
		k.topic(t, "revoked", 1)
		k.topic(t, "alerts", 1)
		conf := config(k, fmt.Sprintf("auth: {secret: %q, revocations: revoked}\n"+
			"limits: {messages_per_second: 0, request_cost: 0, bad_tokens_per_second: 0}\n"+
			"ingest: {routes: [{topic: alerts, rooms: [system_alerts]}]}\n", secret))
		a, b := start(t, conf), start(t, conf)
		c := newCrew(t, guests, users, a, b)
		defer c.disperse()
		c.meet()
		w := k.producer(t)
		put := func(key, value string) func() {
			v := []byte(value)
			if value == "" {
				v = nil
			}
			return func() { w.send("revoked", anyPartition, []byte(key), v); w.flush() }
		}
		of := func(user string) func(*guest) bool { return func(g *guest) bool { return g.user == user } }
		now := fmt.Sprintf(`{"before":%d}`, time.Now().Add(time.Second).UnixMilli())

		c.closes("a user, by a record", 4003, of("u1"), put("user:u1", `{"reason":"a test"}`))
		c.closes("a user, by a node's operator", 4003, of("u2"), func() {
			if status, body := a.post("/disconnect", []byte(`{"user":"u2","revoke":true}`)); status != 200 ||
				!strings.Contains(string(body), `"offset":`) {
				t.Errorf("%d %s", status, body)
			}
		})
		c.closes("a user's tokens so far", 4201, of("u3"), put("user:u3", now))
		tokens := []int{16, 17} // one on each node
		c.closes("two tokens", 4201, func(g *guest) bool { return slices.Contains(tokens, g.n) }, func() {
			put("jti:t16", "{}")()
			put("jti:t17", "{}")()
		})
		c.closes("a user, on one node", 4003, func(g *guest) bool { return g.user == "u4" && g.n%2 == 0 },
			func() { a.post("/disconnect", []byte(`{"user":"u4"}`)) })
		if code := c.again(8, a); code != 0 { // that does not revoke
			t.Errorf("a client that was only closed cannot come again: %d", code)
		}

		late := start(t, conf) // it has read the list before it is ready
		for _, node := range []*gateway{a, b, late} {
			for n, want := range map[int]int{2: 4003, 4: 4003, 16: 4201, 10: 0} {
				if code := c.again(n, node); code != want {
					t.Errorf("guest %d, user %s, is closed with %d, want %d", n, c.guests[n].user, code, want)
				}
			}
		}
		put("user:u1", "")()
		for _, node := range []*gateway{a, b, late} {
			eventually(t, patience, "it is lifted", func() bool { return c.again(2, node) == 0 })
		}
		c.closes("all tokens so far", 4201, func(g *guest) bool { return true },
			put("*", fmt.Sprintf(`{"before":%d}`, time.Now().Add(time.Hour).UnixMilli())))
		if code := c.again(0, b); code != 4201 {
			t.Errorf("a token from before is closed with %d", code)
		}
		if n := a.metric("tapecast_revocations"); n != 5 {
			t.Errorf("%v revocations", n)
		}
	})
}
