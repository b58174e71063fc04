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
	n := atomic.Int64{}
	strange := func() string { return fmt.Sprint("user-", n.Add(1)) }
	// come returns 0 for a client that is let in, or its close code. One that waits for much longer than
	// 5 s, as the gateway counts, is closed with 4004.
	come := func(token string) int {
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
	welcome := func(token string) {
		t.Helper()
		if code := come(token); code != 0 {
			t.Errorf("closed with %d", code)
		}
	}
	breaker := func(want string) {
		t.Helper()
		eventually(t, patience, "health says that the breaker is "+want, func() bool {
			_, body := g.get("/health")
			return strings.Contains(body, "auth.verify: ") && strings.Contains(body, "breaker "+want)
		})
	}
	state := func() float64 { return g.metric("tapecast_breaker_open", `breaker="verify"`) }

	// Many with one token share a call.
	before, same := a.calls.Load(), strange()
	onAll(100, func(int) { welcome(same) })
	if calls := a.calls.Load() - before; calls != 1 {
		t.Errorf("%d calls for one token", calls)
	}
	if code := come("bad"); code != 4201 { // a new token may be good
		t.Errorf("a bad token: closed with %d", code)
	}
	if code := come("forbidden"); code != 4001 {
		t.Errorf("a forbidden user: closed with %d", code)
	}

	t.Log("half of the calls fail")
	known := strange()
	welcome(known)
	a.half.Store(true)
	in := 0
	for range 20 {
		switch code := come(strange()); code {
		case 0:
			in++
		case 1013:
		default:
			t.Errorf("closed with %d", code)
		}
	}
	if in < 8 || in > 12 || state() != 0 {
		t.Errorf("%d of 20 came in, the breaker is at %v", in, state())
	}
	welcome(known)
	a.half.Store(false)

	t.Log("it is late")
	known = strange()
	welcome(known)
	a.late.Store(int64(time.Hour))
	for state() != 1 {
		if code := come(strange()); code != 1013 {
			t.Errorf("closed with %d", code)
		}
	}
	breaker("open")
	welcome(known)
	a.late.Store(0)
	eventually(t, patience, "the breaker closes", func() bool { return state() == 0 })
	welcome(strange())

	t.Log("it is down")
	known = strange()
	welcome(known)
	a.down()
	for state() == 0 {
		if code := come(strange()); code != 1013 {
			t.Errorf("closed with %d", code)
		}
	}
	breaker("")
	welcome(known)
	if status, body := g.get("/readyz"); status != http.StatusOK {
		t.Errorf("it is not ready without the service: %s", body)
	}
	a.up()
	eventually(t, patience, "the breaker closes", func() bool { return state() == 0 })
	onAll(20, func(int) { welcome(strange()) })
	g.noTokens(t, known, same)
}
