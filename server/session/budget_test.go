package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// roomsRequest is a request that names n rooms.
func roomsRequest(method string, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%q", fmt.Sprintf("prices:R%d", i))
	}
	return `{"method":"` + method + `","params":{"rooms":[` + strings.Join(names, ",") + `]},"id":1}`
}

const overBudgetReply = `"id":1,"error":{"code":-32004,`

// loginAs is login on a connection with a number of its own.
func loginAs(t *testing.T, h *Handler, user string, id uint64) *fakeConn {
	t.Helper()
	c := login(t, h, user)
	c.id = id
	return c
}

// TestRequestCost: a client that joins 1,000 rooms once is fine, and so is one that pings 50
// times a second; one that toggles 1,000 rooms is told to wait, is heard again when it did, and
// closed when it goes on regardless.
func TestRequestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t)
		var out bytes.Buffer
		h.log = slog.New(slog.NewTextHandler(&out, nil))
		c := loginAs(t, h, "42", 1)
		toggled := 0
		toggle := func() string {
			method := "subscribe"
			if toggled++; toggled%2 == 0 {
				method = "unsubscribe"
			}
			got := c.says(roomsRequest(method, 1000))
			if strings.Contains(got, overBudgetReply) {
				toggled--
			}
			return got
		}
		for range 3 {
			if got := toggle(); !strings.Contains(got, `"result":{"rooms":[`) {
				t.Fatalf("request %d: got %.200s", toggled, got)
			}
		}
		got := ""
		for got = toggle(); !strings.Contains(got, overBudgetReply); got = toggle() {
			if toggled > 6 {
				t.Fatal("no end to it")
			}
		}
		_, after, _ := strings.Cut(got, `"retryAfter":`)
		var wait time.Duration
		fmt.Sscan(after, (*int64)(&wait))
		if wait *= time.Millisecond; wait <= 0 || wait > 10*time.Second {
			t.Fatalf("to be asked again after %v: %s", wait, got)
		}
		testwait.Pass(wait + time.Millisecond)
		if got = toggle(); !strings.Contains(got, `"result":{"rooms":[`) {
			t.Fatalf("after %v: got %.200s", wait, got)
		}
		testwait.Pass(time.Minute)
		for range 60 * 50 { // a minute of pings
			if got := c.says(`{"method":"ping","id":1}`); !strings.Contains(got, "timestamp") {
				t.Fatalf("got %s", got)
			}
			testwait.Pass(20 * time.Millisecond)
		}
		n := 0
		for ; c.closed() == 0 && n < 500; n++ {
			toggle()
			testwait.Pass(time.Second / 48)
		}
		if c.closed() != wire.CloseRate {
			t.Errorf("after %d requests the close code is %d", n, c.closed())
		}
		if n := h.limit.Refused[limits.Cost].Load(); n < 40 {
			t.Errorf("%d refused requests are counted", n)
		}
		if n := strings.Count(out.String(), "limit=request_cost"); n == 0 || n > 2 {
			t.Errorf("%d lines in two minutes", n)
		}
		c.SetTimer(time.Time{})
	})
}

// TestUserBudget: many connections of a user have no more than a few; another user's have
// all of theirs.
func TestUserBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := func(h *Handler) (n int) {
			for k := range 20 {
				c := loginAs(t, h, "42", uint64(k+1))
				for strings.Contains(c.says(roomsRequest("subscribe", 1000)), "result") {
					n++
					c.says(`{"method":"ping","id":1}`)
				}
				c.SetTimer(time.Time{})
			}
			return n
		}
		h := newTestHandler(t)
		if n := done(h); n < 10 || n > 20 {
			t.Errorf("20 connections of one user joined 1,000 rooms %d times at once", n)
		}
		c := loginAs(t, h, "43", 99)
		if got := c.says(roomsRequest("subscribe", 1000)); !strings.Contains(got, "result") {
			t.Errorf("another user got %.200s", got)
		}
		c.SetTimer(time.Time{})
		if n := done(newTestHandler(t, func(cfg *config.Config) { cfg.Limits.UserBudgets = 0 })); n < 60 {
			t.Errorf("without budgets of users %d times", n)
		}
	})
}

// TestDearRequests: what is dear costs, however short the request.
func TestDearRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(what string, most int, request func() string) {
			t.Helper()
			h := newTestHandler(t)
			c := loginAs(t, h, "42", 1)
			if got := c.says(roomsRequest("subscribe", 1000)); !strings.Contains(got, "result") {
				t.Fatalf("%s: got %.200s", what, got)
			}
			c.under = make([]string, 1000)
			for i := range c.under {
				c.under[i] = fmt.Sprintf("trades:R%d", i)
			}
			n := 0
			for ; n < 95 && !strings.Contains(c.says(request()), "-32004"); n++ {
				h.release(c, sessionOf(c), 1000) // only the budget is to end it
			}
			if n == 0 || n > most {
				t.Errorf("%s: %d times at once", what, n)
			}
			c.SetTimer(time.Time{})
		}
		f("a token", 90, func() string {
			return `{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":1}`
		})
		f("a wildcard of 1,000 rooms", 5, func() string {
			return `{"method":"subscribe","params":{"rooms":["trades:*"]},"id":1}`
		})
		f("positions of 1,000 rooms", 5, func() string {
			var since []string
			for i := range 1000 {
				since = append(since, fmt.Sprintf(`"prices:R%d":{"epoch":"e","0":1}`, i))
			}
			return `{"method":"subscribe","params":{"rooms":["prices"],"since":{` +
				strings.Join(since, ",") + `}},"id":1}`
		})
		f("60 KB of nothing", 50, func() string {
			return `{"method":"subscribe","params":{"rooms":["prices"]},"id":1,"x":"` +
				strings.Repeat("x", 60_000) + `"}`
		})
	})
	h := newTestHandler(t)
	c := loginAs(t, h, "42", 1)
	c.says(roomsRequest("subscribe", 1000))
	n := 0
	for ; n < 95 && !strings.Contains(c.says(`{"method":"list_subscriptions","id":1}`), "-32004"); n++ {
	}
	if n == 0 || n > 4 {
		t.Errorf("a list of 1,000 rooms: %d times at once", n)
	}
	c.SetTimer(time.Time{})
}

// TestWaitingRequests: behind a join that waits for Kafka a bounded number of requests is
// kept, and of bytes; a ping is answered, and a client that goes on regardless is closed.
func TestWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(request string, least, most int) {
			t.Helper()
			h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.MessagesPerSecond = 0 })
			c := loginAs(t, h, "42", 1)
			c.hold = true
			kept := 0
			for ; kept < 1000; kept++ {
				if got := c.says(request); got != "" {
					if !strings.Contains(got, overBudgetReply) || !strings.Contains(got, `"retryAfter":`) {
						t.Fatalf("request %d: got %.200s", kept, got)
					}
					break
				}
				testwait.Pass(200 * time.Millisecond)
			}
			if kept < least || kept > most || c.closed() != 0 {
				t.Errorf("%d of %.60s are kept, close code %d", kept, request, c.closed())
			}
			if got := c.says(`{"method":"ping","id":1}`); !strings.Contains(got, "timestamp") {
				t.Errorf("a ping got %s", got)
			}
			c.hold = false
			c.settle()
			if got := c.take(); strings.Count(got, "result") != kept {
				t.Errorf("%d of %d were answered", strings.Count(got, "result"), kept)
			}
			c.hold = true
			for i := 0; i < 400 && c.closed() == 0; i++ {
				c.says(request)
				testwait.Pass(time.Second / 49)
			}
			if c.closed() != wire.CloseRate || h.limit.Refused[limits.Waiting].Load() == 0 {
				t.Errorf("%.60s: close code %d, %d counted", request, c.closed(),
					h.limit.Refused[limits.Waiting].Load())
			}
			c.SetTimer(time.Time{})
		}
		f(`{"method":"subscribe","params":{"rooms":["prices:A"]},"id":1}`, 100, maxWaiting)
		f(`{"method":"subscribe","params":{"rooms":["prices:A"]},"id":1,"x":"`+strings.Repeat("x", 60_000)+`"}`, 4, 10)
		f(roomsRequest("subscribe", 1000), 1, 4)
	})
}

// TestSnapshotBudget: a snapshot is paid for by what was sent of it: by its connection, by its
// user, and before the same room's next.
func TestSnapshotBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t)
		a, b := loginAs(t, h, "42", 1), loginAs(t, h, "42", 2)
		begins := func(c *fakeConn, room string) (wait time.Duration) {
			if err := h.snapshotBegins(c, room, 20_000); err != nil {
				return joinFault(err).retryAfter
			}
			return 0
		}
		const whole = 6 << 20
		if begins(a, "prices") != 0 {
			t.Fatal("the first snapshot is refused")
		}
		h.snapshotSent(a, "prices", whole)
		wait := begins(a, "prices")
		if wait < 5*time.Second || wait > 10*time.Second {
			t.Errorf("the same again after %v", wait)
		}
		if begins(b, "prices") != 0 || begins(a, "trades") != 0 {
			t.Error("another room, or connection, has to wait")
		}
		testwait.Pass(wait)
		if wait = begins(a, "prices"); wait != 0 {
			t.Errorf("still to wait for %v", wait)
		}
		n := 0
		for ; n < 100 && begins(a, fmt.Sprint("prices:", n)) == 0; n++ {
			h.snapshotSent(a, fmt.Sprint("prices:", n), whole)
		}
		if n < 7 || n > 12 {
			t.Errorf("%d snapshots of 6 MiB at once on one connection", n)
		}
		n = 0
		for k := range 20 {
			c := loginAs(t, h, "42", uint64(k+10))
			for ; n < 500 && begins(c, fmt.Sprint("prices:", n)) == 0; n++ {
				h.snapshotSent(c, fmt.Sprint("prices:", n), whole)
			}
			c.SetTimer(time.Time{})
		}
		if n < 20 || n > 45 {
			t.Errorf("%d more on 20 connections of the user", n)
		}
		if h.limit.Refused[limits.Snapshots].Load() == 0 {
			t.Error("not counted")
		}
		for _, c := range []*fakeConn{a, b} {
			c.SetTimer(time.Time{})
		}
	})
}

// TestRecallBudgetOfConnection: a connection is given as much in a minute, and others have their own.
func TestRecallBudgetOfConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.RecallBytesPerConnection = 6 << 20 })
		a, b := loginAs(t, h, "42", 1), loginAs(t, h, "42", 2)
		waits := func(c *fakeConn) time.Duration {
			wait, counted := h.recallBegins(c)
			if !counted {
				t.Error("not counted")
			}
			return wait
		}
		n := 0
		for ; n < 100 && waits(a) == 0; n++ {
			h.recallGiven(a, 1<<20)
		}
		if n != 7 || waits(b) != 0 || h.limit.Refused[limits.RecallBytes].Load() != 1 {
			t.Errorf("%d MiB at once", n)
		}
		testwait.Pass(waits(a))
		if wait := waits(a); wait != 0 {
			t.Errorf("still to wait for %v", wait)
		}
		for _, c := range []*fakeConn{a, b} {
			c.SetTimer(time.Time{})
		}
		h = newTestHandler(t)
		c := loginAs(t, h, "42", 3)
		h.recallGiven(c, 1<<40)
		if wait, counted := h.recallBegins(c); wait != 0 || counted {
			t.Error("there is a limit by default")
		}
		c.SetTimer(time.Time{})
	})
}
