package session

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"

	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/config"
)

func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 64 {
		t.Errorf("a session has %d bytes; 64 were promised", n)
	}
}

// varying replaces what differs from run to run.
var varying = regexp.MustCompile(`("clientId":"[a-z2-7]{8}-)\d+"|("expires":)\d+|("timestamp":)\d+`)

func steady(s string) string {
	return varying.ReplaceAllStringFunc(s, func(m string) string {
		return m[:strings.IndexByte(m, ':')+1] + "…"
	})
}

func TestConnectAndAuthenticate(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, "", "")
	if got, want := c.take(),
		`{"jsonrpc":"2.0","method":"auth_required","params":{"timeout":10000,"maxMessage":65536}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got := steady(c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":1}`))
	at := `{"epoch":"e1","0":7}`
	want := `{"jsonrpc":"2.0","id":1,"result":{"clientId":…,"userId":"42","expires":…,"maxMessage":262144}}` + "\n" +
		`{"jsonrpc":"2.0","method":"auto_subscribed","params":{"globalRooms":["prices","trades","system_alerts"],` +
		`"userRooms":["user:42","portfolio:42","orders:42","notifications:42"],"totalRooms":7,` +
		`"class":{"prices":"market","trades":"stream","system_alerts":"alert","user:42":"private",` +
		`"portfolio:42":"state","orders:42":"private","notifications:42":"private"},` +
		`"chain":{"prices":false,"trades":true,"system_alerts":true,"user:42":true,"portfolio:42":true,` +
		`"orders:42":true,"notifications:42":true},` +
		`"positions":{"prices":` + at + `,"trades":` + at +
		`,"system_alerts":` + at + `,"user:42":` + at + `,"portfolio:42":` + at + `,"orders:42":` + at +
		`,"notifications:42":` + at + `}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !c.authed || !c.positions {
		t.Error("the loop was not told")
	}
	if n := h.limit.Pending.Load(); n != 0 {
		t.Errorf("%d pending", n)
	}
	if s := sessionOf(c); s.rooms != 7 || s.user != "42" {
		t.Errorf("session %+v", s)
	}
	h.closed(c, 1000)
	if n := h.limit.Conns.Load(); n != 0 {
		t.Errorf("%d connections are counted after the last was closed", n)
	}
}

func TestHandshakeToken(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, tokenOf(t, "42", time.Hour), "")
	got := steady(c.take())
	if want := `{"jsonrpc":"2.0","method":"authenticated","params":{"clientId":…,"userId":"42","expires":…,` +
		`"maxMessage":262144}}` + "\n" +
		`{"jsonrpc":"2.0","method":"auto_subscribed"`; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
	c = dial(t, h, "nonsense", "")
	if got := c.take(); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":null,"error":{"code":-32002,`) ||
		c.closed() != wire.CloseAuth {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
	if got := c.says(`{"method":"ping","id":1}`); got != "" {
		t.Errorf("answered after the close: %s", got)
	}
	h.closed(c, wire.CloseAuth)
	if n := h.limit.Pending.Load(); n != 0 {
		t.Errorf("%d pending", n)
	}
}

func TestManualJoin(t *testing.T) {
	h := newTestHandler(t)
	open := func() *fakeConn {
		c := dial(t, h, tokenOf(t, "42", time.Hour), "a=b&join=manual")
		if got := c.take(); !strings.Contains(got, `"authenticated"`) || strings.Contains(got, "auto_subscribed") {
			t.Fatalf("got %s", got)
		}
		return c
	}
	c := open()
	got := steady(c.says(`{"method":"authenticate","params":{"join":["trades","orders:42"],"positions":false},"id":2}`))
	want := `{"jsonrpc":"2.0","id":2,"result":{"clientId":…,"userId":"42","expires":…,"maxMessage":262144}}` + "\n" +
		`{"jsonrpc":"2.0","method":"auto_subscribed","params":{"globalRooms":["trades"],"userRooms":["orders:42"],` +
		`"totalRooms":2,` +
		`"class":{"trades":"stream","orders:42":"private"},"chain":{"trades":true,"orders:42":true},` +
		`"positions":{"trades":{"epoch":"e1","0":7},"orders:42":{"epoch":"e1","0":7}}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c.positions {
		t.Error("positions: false was lost")
	}
	if got := c.says(`{"method":"authenticate","params":{},"id":3}`); !strings.Contains(got,
		"params.token is missing") {
		t.Errorf("a second one without token: %s", got)
	}
	if got := open().says(`{"method":"authenticate","id":3}`); !strings.Contains(got, `"totalRooms":7`) {
		t.Errorf("without params: %s", got)
	}
	if got := open().says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) +
		`"},"id":3}`); !strings.Contains(got, `"totalRooms":7`) {
		t.Errorf("with the token again: %s", got)
	}
	if got := open().says(`{"method":"subscribe","params":["prices"],"id":3}`); got != `{"jsonrpc":"2.0","id":3,`+
		`"result":null}` {
		t.Errorf("subscribe before the rest: %s", got)
	}
}

// What was asked in authenticate's join and cannot be had is said beside the rest.
func TestJoinErrors(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.RoomsPerConnection = 3 })
	c := dial(t, h, tokenOf(t, "42", time.Hour), "join=manual")
	c.refuse = map[string]error{"prices:A": rooms.ErrTooManyRooms}
	c.take()
	got := c.says(`{"method":"authenticate","params":{"join":["prices:A","orders:43","nope","trades","prices",` +
		`"trades:B","book:B"]},"id":2}`)
	want := `"globalRooms":["trades","prices"],"userRooms":[],"totalRooms":2,"class":{"trades":"stream",` +
		`"prices":"market"},"chain":{"trades":true,"prices":false},"positions":{"trades":{"epoch":"e1","0":7},` +
		`"prices":{"epoch":"e1","0":7}},"errors":[` +
		`{"room":"prices:A","error":{"code":-32009,"message":"limit reached: the pattern already has max_rooms ` +
		`rooms"}},` +
		`{"room":"orders:43","error":{"code":-32007,"message":"forbidden: the room is another user's"}},` +
		`{"room":"nope","error":{"code":-32006,"message":"unknown room"}},` +
		`{"room":"trades:B","error":{"code":-32009,"message":"limit reached: too many rooms on this connection"}},` +
		`{"room":"book:B","error":{"code":-32009,"message":"limit reached: too many rooms on this connection"}}]}}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	if s := sessionOf(c); s.rooms != 2 {
		t.Errorf("%d rooms are counted", s.rooms)
	}
	none := dial(t, h, "", "")
	none.take()
	got = none.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `","join":[]}}`)
	if want := `{"jsonrpc":"2.0","method":"auto_subscribed","params":{"globalRooms":[],"userRooms":[],"totalRooms":0,` +
		`"positions":{}}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAuthenticateInProgress(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, "", "")
	c.hold = true
	c.take()
	c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":1}`)
	got := c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) + `"},"id":2}`)
	if want := `{"jsonrpc":"2.0","id":2,"error":{"code":-32600,"message":"invalid request: authentication in ` +
		`progress"}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := c.says(`{"method":"ping","id":3}`); !strings.Contains(got, `"timestamp"`) {
		t.Errorf("ping while joining: %s", got)
	}
	c.settle()
	if got := c.take(); !strings.Contains(got, `"totalRooms":7`) {
		t.Errorf("got %s", got)
	}
	if got := c.says(`{"method":"authenticate","params":{"token":"` + tokenOf(t, "42", time.Hour) +
		`"},"id":2}`); !strings.Contains(got, `"userId":"42"`) {
		t.Errorf("renewal after the join: %s", got)
	}
}

func TestBeforeAuthentication(t *testing.T) {
	h := newTestHandler(t)
	c := dial(t, h, "", "")
	c.take()
	for _, m := range []string{"ping", "subscribe", "unsubscribe", "list_subscriptions", "dance"} {
		if got := c.says(`{"method":"` + m + `","params":["prices"],"id":5}`); !strings.HasPrefix(got,
			`{"jsonrpc":"2.0","id":5,"error":{"code":-32001,`) {
			t.Errorf("%s: %s", m, got)
		}
	}
	if got := c.says(`{"method":"ping"}`); got != "" {
		t.Errorf("a notification was answered: %s", got)
	}
	if got := c.says(`{"method":"authenticate","params":{},"id":1}`); !strings.Contains(got, "-32602") {
		t.Errorf("no token: %s", got)
	}
	if c.closed() != 0 || len(c.in) != 0 {
		t.Errorf("closed with %d, in %v", c.closed(), c.in)
	}
}

func TestBinaryMessage(t *testing.T) {
	h := newTestHandler(t)
	c := login(t, h, "42")
	h.message(c, wire.OpBinary, []byte(`{"method":"ping","id":1}`))
	if got := c.take(); c.closed() != wire.CloseUnsupported || !strings.Contains(got, "-32600") {
		t.Errorf("close %d, got %s", c.closed(), got)
	}
}
