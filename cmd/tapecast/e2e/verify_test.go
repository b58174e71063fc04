package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// accounts is a service that checks tokens: user-X is X's, and no other token is good.
type accounts struct {
	t     testing.TB
	addr  string
	calls atomic.Int64
	late  atomic.Int64 // ns
	half  atomic.Bool  // every second call fails
	lie   atomic.Pointer[string]
	srv   *http.Server
}

func newAccounts(t testing.TB) *accounts {
	t.Helper()
	a := &accounts{t: t, addr: "127.0.0.1:0"}
	a.up()
	t.Cleanup(a.down)
	return a
}

func (a *accounts) up() {
	a.t.Helper()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	a.addr = l.Addr().String()
	a.srv = &http.Server{Handler: a}
	go a.srv.Serve(l)
}

// down resets what is connected, and leaves the port without a listener.
func (a *accounts) down() { a.srv.Close() }

func (a *accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.calls.Add(1)
	select {
	case <-time.After(time.Duration(a.late.Load())):
	case <-r.Context().Done():
		return
	}
	user, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer user-")
	lie := a.lie.Load()
	switch {
	case lie != nil:
		io.WriteString(w, *lie)
	case a.half.Load() && n%2 == 0:
		w.WriteHeader(http.StatusBadGateway)
	case !ok && r.Header.Get("Authorization") == "Bearer forbidden":
		w.WriteHeader(http.StatusForbidden)
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		io.WriteString(w, fmt.Sprintf(`{"data":{"user":{"id":%q}}}`, user))
	}
}

// TestVerifyService: a service that checks tokens is late, fails half of the time, is down, and comes
// back. Whoever is known comes in all the while, and nobody is left waiting.
func TestVerifyService(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "trades", 1)
	k.topic(t, "orders", 1)
	a := newAccounts(t)
	g := start(t, config(k, fmt.Sprintf("auth: {timeout: 7s, verify: {url: \"http://%s/me\"}}\n", a.addr)+authConfig))
	g.ready()
	v := &verified{t: t, g: g, a: a}

	// Many with one token share a call.
	before, same := a.calls.Load(), v.stranger()
	onAll(100, func(int) { v.welcome(same) })
	if calls := a.calls.Load() - before; calls != 1 {
		t.Errorf("%d calls for one token", calls)
	}
	if code := v.come("bad"); code != 4201 { // a new token may be good
		t.Errorf("a bad token: closed with %d", code)
	}
	if code := v.come("forbidden"); code != 4001 {
		t.Errorf("a forbidden user: closed with %d", code)
	}
	v.halfFail()
	v.late()
	known := v.down()
	g.noTokens(t, known, same)
}

// verified is a gateway whose tokens are checked by a service.
type verified struct {
	t *testing.T
	g *gateway
	a *accounts
	n atomic.Int64 // users so far
}

// stranger returns a token that nobody has seen.
func (v *verified) stranger() string { return fmt.Sprint("user-", v.n.Add(1)) }

// come returns 0 for a client that is let in, or its close code. One that waits for much longer than
// 5 s, as the gateway counts, is closed with 4004.
func (v *verified) come(token string) int {
	v.t.Helper()
	c := dial(v.t, v.g, dialing{query: "?token=" + token})
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

func (v *verified) welcome(token string) {
	v.t.Helper()
	if code := v.come(token); code != 0 {
		v.t.Errorf("closed with %d", code)
	}
}

// known returns a token of a client that was let in.
func (v *verified) known() string {
	v.t.Helper()
	token := v.stranger()
	v.welcome(token)
	return token
}

// state returns how open the breaker is.
func (v *verified) state() float64 { return v.g.metric("tapecast_breaker_open", `breaker="verify"`) }

func (v *verified) healthSays(breaker string) {
	v.t.Helper()
	eventually(v.t, patience, "health says that the breaker is "+breaker, func() bool {
		_, body := v.g.get("/health")
		return strings.Contains(body, "auth.verify: ") && strings.Contains(body, "breaker "+breaker)
	})
}

// opens lets clients come until the breaker is in a state. All of them are told to come again.
func (v *verified) opens(until func(state float64) bool) {
	v.t.Helper()
	for !until(v.state()) {
		if code := v.come(v.stranger()); code != 1013 {
			v.t.Errorf("closed with %d", code)
		}
	}
}

func (v *verified) closes() {
	v.t.Helper()
	eventually(v.t, patience, "the breaker closes", func() bool { return v.state() == 0 })
}

func (v *verified) halfFail() {
	v.t.Helper()
	known := v.known()
	v.a.half.Store(true)
	in := 0
	for range 20 {
		switch code := v.come(v.stranger()); code {
		case 0:
			in++
		case 1013:
		default:
			v.t.Errorf("half of the calls fail: closed with %d", code)
		}
	}
	if in < 8 || in > 12 || v.state() != 0 {
		v.t.Errorf("%d of 20 came in, the breaker is at %v", in, v.state())
	}
	v.welcome(known)
	v.a.half.Store(false)
}

func (v *verified) late() {
	v.t.Helper()
	known := v.known()
	v.a.late.Store(int64(time.Hour))
	v.opens(func(state float64) bool { return state == 1 })
	v.healthSays("open")
	v.welcome(known)
	v.a.late.Store(0)
	v.closes()
	v.welcome(v.stranger())
}

// down returns the token of the client that came in all the while.
func (v *verified) down() string {
	v.t.Helper()
	known := v.known()
	v.a.down()
	v.opens(func(state float64) bool { return state != 0 })
	v.healthSays("")
	v.welcome(known)
	if status, body := v.g.get("/readyz"); status != http.StatusOK {
		v.t.Errorf("it is not ready without the service: %s", body)
	}
	v.a.up()
	v.closes()
	onAll(20, func(int) { v.welcome(v.stranger()) })
	return known
}
