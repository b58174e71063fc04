package session

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/loop/upgrade"
	"tapecast/server/config"
	"tapecast/server/limits"
)

func anonymousHandler(t testing.TB, change ...func(*config.Config)) *Handler {
	return newTestHandler(t, append([]func(*config.Config){func(cfg *config.Config) {
		cfg.Anonymous.Rooms = []string{"prices", "trades:*"}
	}}, change...)...)
}

const asNobody = `{"method":"authenticate","params":{"anonymous":true},"id":1}`

// TestAnonymous: a client without a token is in the listed rooms, and in no other.
func TestAnonymous(t *testing.T) {
	h := anonymousHandler(t)
	c := dial(t, h, "", "")
	c.take()
	want := `{"jsonrpc":"2.0","id":1,"result":{"clientId":…,"userId":null,"maxMessage":262144}}` + "\n" +
		`{"jsonrpc":"2.0","method":"auto_subscribed","params":{"globalRooms":["prices"],"userRooms":[],` +
		`"totalRooms":1,"class":{"prices":"market"},"chain":{"prices":false},"positions":{"prices":{"epoch":"e1",` +
		`"0":7}}}}`
	if got := steady(c.says(asNobody)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c.timer != nil || h.limit.Pending.Load() != 0 || h.limit.Anonymous.Count() != 1 {
		t.Errorf("timer %v, %d pending, %d anonymous", c.timer, h.limit.Pending.Load(), h.limit.Anonymous.Count())
	}
	h.timer(c) // one that was on its way
	for room, ok := range map[string]bool{"trades:A": true, "trades": false, "prices:A": false, "user:42": false,
		"user:": false, "user:null": false, "orders:*": false, "prices:*": false, "trades:B*": true} {
		if got := c.says(subscribe(room)); strings.Contains(got, `"status":"joined"`) != ok {
			t.Errorf("%s: %s", room, got)
		}
	}
	c.isIn(t, "prices", "trades:A", "trades:B*")
	if got := steady(c.says(asNobody)); !strings.Contains(got, `"result":{"clientId":…,"userId":null`) {
		t.Errorf("again: %s", got)
	}
	got := c.says(`{"method":"authenticate","params":{"token":"` + claimed(t, nil) + `"},"id":1}`)
	if !strings.Contains(got, "of another user; open another connection") || c.closed() != 0 {
		t.Errorf("with a token: %s", got)
	}
	if got := login(t, h, "42").says(asNobody); !strings.Contains(got, "the connection has a user") {
		t.Errorf("with a user: %s", got)
	}
	if got := h.payer(c); got != "anonymous 192.0.2.1" || h.user(c) != "" {
		t.Errorf("%q pays", got)
	}
	h.closed(c, 1000)
	if n := h.limit.Anonymous.Count(); n != 0 {
		t.Errorf("%d are counted", n)
	}
}

// TestAnonymousRefused: when a client without a token is not let in.
func TestAnonymousRefused(t *testing.T) {
	f := func(h *Handler, text, want string, code int) {
		t.Helper()
		c := dial(t, h, "", "")
		c.take()
		if got := c.says(text); !strings.Contains(got, want) || c.closed() != code || len(c.in) > 0 {
			t.Errorf("%s: %s, closed with %d, want %d", text, got, c.closed(), code)
		}
		c.SetTimer(time.Time{})
	}
	f(newTestHandler(t), asNobody, `"code":-32002,"message":"authentication failed: a token is needed here`, 4001)
	h := anonymousHandler(t)
	f(h, `{"method":"authenticate","params":{"anonymous":true,"token":"x"},"id":1}`, `"code":-32602`, 0)
	f(h, `{"method":"authenticate","params":{"anonymous":"true"},"id":1}`, `"code":-32602`, 0)
	f(h, `{"method":"authenticate","params":{"anonymous":false},"id":1}`, `params.token is missing`, 0)
	f(h, `{"method":"authenticate","params":{"anonymous":true,"join":["user:42"]},"id":1}`, `"userId":null`, 0)
}

// TestAnonymousLimits: how many connections without a user there are, in all and of an address.
func TestAnonymousLimits(t *testing.T) {
	h := anonymousHandler(t, func(cfg *config.Config) {
		cfg.Anonymous.Connections, cfg.Anonymous.ConnectionsPerAddress = 5, 2
		cfg.Limits.ConnectionsPerUser = 1 // nobody is no user
	})
	let := func(from string) *fakeConn {
		c := newFakeConn(h)
		c.remote = netip.AddrPortFrom(netip.MustParseAddr(from), 1)
		h.open(c, &upgrade.Request{})
		c.take()
		h.admitMessage(c)
		h.message(c, 1, []byte(asNobody))
		return c
	}
	var in []*fakeConn
	for i, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3",
		"192.0.2.9", "192.0.2.10"} {
		c := let(from)
		want, text := 0, ""
		switch i {
		case 2, 5:
			want, text = 4129, "too many anonymous connections of this address"
		case 7:
			want, text = 4129, "too many anonymous connections"
		default:
			in = append(in, c)
		}
		if got := c.take(); c.closed() != want || !strings.Contains(got, text) {
			t.Errorf("%d, %s: closed with %d: %s", i, from, c.closed(), got)
		}
	}
	if all, each := h.limit.Refused[limits.AnonymousAll].Load(),
		h.limit.Refused[limits.AnonymousAddress].Load(); all != 1 || each != 2 {
		t.Errorf("%d and %d refused", all, each)
	}
	for _, c := range in {
		h.closed(c, 1000)
	}
	if c := let("192.0.2.10"); c.closed() != 0 || h.limit.Anonymous.Count() != 1 {
		t.Errorf("closed with %d, %d counted", c.closed(), h.limit.Anonymous.Count())
	}
}

// TestServiceRights: a service joins any room by name, is joined to no user's, and is logged.
func TestServiceRights(t *testing.T) {
	h := deskHandler(t, func(cfg *config.Config) { cfg.Auth.Services = config.Conditions{"scope": {"svc"}} })
	c := dial(t, h, claimed(t, jwt.MapClaims{"scope": "read svc"}), "")
	c.isIn(t, "prices", "desk:2")
	c.says(subscribe("orders:7", "desk:1", "desk:*"))
	c.isIn(t, "prices", "desk:2", "orders:7", "desk:1", "desk:*")
	if got := c.says(subscribe("orders:*")); !strings.Contains(got, `"code":-32007`) || h.Services() != 1 {
		t.Errorf("%s, %d services", got, h.Services())
	}
	c.says(fmt.Sprintf(`{"method":"authenticate","params":{"token":%q},"id":1}`, claimed(t, nil)))
	c.isIn(t, "prices")
}

// TestAnonymousAccount: anonymous clients of one address share the requests, snapshots and rooms of a
// user. Where addresses are not told apart, they do not.
func TestAnonymousAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := func(h *Handler, from string, id uint64) *fakeConn {
			c := newFakeConn(h)
			c.remote, c.id = netip.AddrPortFrom(netip.MustParseAddr(from), 1), id
			h.open(c, &upgrade.Request{})
			if got := c.says(asNobody); !strings.Contains(got, `"userId":null`) {
				t.Fatalf("connection %d of %s: %s", id, from, got)
			}
			return c
		}
		f := func(perAddress, others, wantAsked, wantRooms int) {
			t.Helper()
			h := anonymousHandler(t, func(cfg *config.Config) {
				cfg.Anonymous.ConnectionsPerAddress = perAddress
				cfg.Limits.RequestCost, cfg.Limits.RequestBurst, cfg.Limits.UserBudgets = 1, 100, 2
				cfg.Limits.RoomsPerUser, cfg.Limits.MessagesPerSecond = 10, 0
			})
			var all []*fakeConn
			asked, joined := 0, 0
			for i := range others {
				c := let(h, fmt.Sprintf("2001:db8::%d", i+1), uint64(i+1))
				all = append(all, c)
				got := c.says(subscribe("trades:A", "trades:B", "trades:C"))
				joined += strings.Count(got, `"status":"joined"`)
			}
			for _, c := range all {
				const ask = `{"method":"unsubscribe","params":["a","b","c","d"],"id":1}`
				for strings.Contains(c.says(ask), `"result"`) {
					asked++
				}
			}
			if joined != wantRooms || asked < wantAsked*8/10 || asked > wantAsked {
				t.Errorf("%d an address: %d rooms, %d requests, want %d, %d", perAddress, joined, asked, wantRooms,
					wantAsked)
			}
			c := let(h, "2001:db8:0:1::1", 99)
			all = append(all, c)
			if got := c.says(subscribe("trades:A")); !strings.Contains(got, `"status":"joined"`) {
				t.Errorf("another address: %s", got)
			}
			if n := h.limit.Guests.Len(); n != 2 {
				t.Errorf("%d addresses are counted", n)
			}
			for _, c := range all {
				h.closed(c, 1000)
				h.release(c, sessionOf(c), 1) // an answer that comes late
				h.reserve(c, sessionOf(c), 1)
			}
			if n := h.limit.Guests.Len(); n != 0 || h.limit.Users.Len() != 0 {
				t.Errorf("%d addresses are left", n)
			}
		}
		f(100, 6, 2*100/5, 7) // of ten rooms, and each connection is in prices
		f(0, 6, 6*100/5, 18)
	})
}
