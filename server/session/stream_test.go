package session

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
	"tapecast/server/config"
)

// asksStream opens a stream: a POST, or a GET if path names a room.
func asksStream(h *Handler, path, query, token, body string) (*fakeConn, upgrade.Verdict) {
	c := newFakeConn(h)
	path = "/stream" + path
	v := h.open(c, &upgrade.Request{Stream: "/stream", Path: path, Query: query, Token: token, Body: []byte(body),
		Header: func(string) string { return "" }})
	if v.Status != 0 && c.session != nil {
		h.closed(c, wire.CloseNone)
	}
	return c, v
}

// TestStreamRooms: a stream joins the rooms that it names, by its wishes, or the configured ones.
func TestStreamRooms(t *testing.T) {
	h := newTestHandler(t)
	token := tokenOf(t, "42", time.Hour)
	c, v := asksStream(h, "", "", token,
		`{"rooms":["trades","orders:43"],"since":{"trades":{"epoch":"e1","0":5}},"max_rate":4}`)
	if v.Status != 0 || !c.authed || !c.positions {
		t.Fatalf("refused by %+v", v)
	}
	lines := strings.Split(steady(c.take()), "\n")
	want := []string{`{"jsonrpc":"2.0","method":"authenticated","params":{"clientId":…,"userId":"42"`,
		`{"jsonrpc":"2.0","method":"auto_subscribed","params":{"globalRooms":[],"userRooms":[],"totalRooms":0`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"trades","status":"joined","class":"stream","chain":true,` +
			`"positions":{"epoch":"e1","0":7},"recovered":true},{"room":"orders:43","error":{"code":-32007`}
	if len(lines) != len(want) {
		t.Fatalf("told %q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("told %s\nwant %s", lines[i], want[i])
		}
	}
	if strings.Join(c.in, ",") != "trades" || sessionOf(c).rooms != 1 || streamOfConn(c).asks != nil {
		t.Errorf("in %v, session %+v", c.in, sessionOf(c))
	}
	h.closed(c, 1000)

	if c, _ = asksStream(h, "", "", token, `{"since":{"trades":{"epoch":"e1","0":5}}}`); len(c.in) != 7 ||
		!strings.Contains(c.take(), `"recovered":{"trades":true}`) {
		t.Errorf("without names it is in %v", c.in)
	}
	h.closed(c, 1000)
	c, _ = asksStream(h, "", "", "", fmt.Sprintf(`{"token":%q,"rooms":["trades:*"]}`, token))
	if c.code != 0 || c.wildcards == nil {
		t.Errorf("with a token in the body and a wildcard: close %d, %s", c.code, c.take())
	}
	h.closed(c, 1000)
	c, _ = asksStream(h, "", "", token, `{"requests":[]}`)
	if got := c.take(); len(c.in) > 0 || !strings.Contains(got, `"totalRooms":0`) {
		t.Errorf("without requests it is in %v: %s", c.in, got)
	}
	h.closed(c, 1000)
	c, _ = asksStream(h, "", "", token, `{"requests":[{"id":7,"params":{"rooms":["trades"],"max_rate":1}},
		{"id":"b","params":{"rooms":["prices"],"keys":["A"]}},{"id":9,"params":{"rooms":[]}}]}`)
	got := c.take()
	if strings.Join(c.in, ",") != "trades,prices" || !strings.Contains(got, `"id":7,"result"`) ||
		!strings.Contains(got, `"id":"b","result"`) || !strings.Contains(got, `"id":9,"error":{"code":-32602`) {
		t.Errorf("by three requests it is in %v: %s", c.in, got)
	}
	h.closed(c, 1000)
	c, v = asksStream(h, "/prices", "key=A&key=B&max_rate=0.5&snapshot=false&since=e1/0:5,2:6", token, "")
	if v.Status != 0 || strings.Join(c.in, ",") != "prices" || !strings.Contains(c.take(), `"recovered":true`) {
		t.Errorf("GET is in %v, %+v", c.in, v)
	}
	h.closed(c, 1000)
	for room, why := range map[string]string{"orders:43": "another user", "nothing:here": "unknown room"} {
		c, v = asksStream(h, "/"+room, "", token, "")
		if v.Status != 0 || c.code != wire.CloseForbidden || !strings.Contains(c.reason, why) {
			t.Errorf("GET of %s is closed with %d: %s", room, c.code, c.reason)
		}
		h.closed(c, wire.CloseForbidden)
	}
	if n := h.limit.Conns.Load() + h.limit.Pending.Load() + int64(h.limit.Users.Len()); n != 0 {
		t.Errorf("%d are counted after the last was closed", n)
	}
}

// TestStreamRefused: what can be judged at once is refused by HTTP, and leaves nothing behind.
func TestStreamRefused(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.ConnectionsPerUser = 1 })
	token := tokenOf(t, "42", time.Hour)
	f := func(status int, why, path, query, token, body string) {
		t.Helper()
		c, v := asksStream(h, path, query, token, body)
		if v.Status != status || !strings.Contains(v.Body, why) || c.take() != "" || c.authed {
			t.Errorf("%s %s: %+v, want %d %s", path, body, v, status, why)
		}
		if n := h.limit.Conns.Load() + h.limit.Pending.Load() + int64(h.limit.Users.Len()); n != 0 {
			t.Fatalf("%s %s: %d are counted", path, body, n)
		}
	}
	f(401, "no token", "", "", "", "{}")
	f(401, "not a compact JWT", "", "", "nonsense", "{}")
	f(401, "not a compact JWT", "", "", "", `{"token":"x"}`)
	f(400, "not valid JSON", "", "", token, "{")
	f(400, "not valid JSON", "", "", token, "")
	f(400, "not valid JSON", "", "", token, `{}},"x":{`)
	f(400, "twice", "", "", token, `{},"method":"ping"`)
	f(400, "params.rooms[0]", "", "", token, `{"rooms":[7]}`)
	f(400, "names no room", "", "", token, `{"rooms":[]}`)
	f(400, "max_rate", "", "", token, `{"rooms":["trades"],"max_rate":-1}`)
	f(400, "params.keys", "", "", token, `{"keys":["a"]}`)
	f(400, "params.join", "", "", token, `{"join":["trades"]}`)
	f(400, "contradict", "", "", token, `{"rooms":["trades"],"requests":[]}`)
	f(400, "a list", "", "", token, `{"requests":{}}`)
	f(400, "requests[1] must", "", "", token, `{"requests":[{"id":1,"params":{}},{"id":2}]}`)
	f(400, "(params.requests[0])", "", "", token, `{"requests":[{"id":{},"params":{}}]}`)
	f(400, "a list", "", "", token, `{"requests":[`+strings.Repeat("1,", 64)+`1]}`)
	f(400, "an object", "", "", token, `["trades"]`)
	f(400, "wildcard", "/trades:*", "", token, "")
	f(400, "not the id", "/trades", "since=x", token, "")
	f(400, "max_rate", "/trades", "max_rate=x", token, "")
	f(400, "snapshot", "/trades", "snapshot=1", token, "")

	first, _ := asksStream(h, "/trades", "", token, "")
	if _, v := asksStream(h, "", "", token, `{}`); v.Status != http.StatusTooManyRequests {
		t.Errorf("a second connection of the user: %+v", v)
	}
	h.closed(first, 1000)
	h.Accept(false)
	f(503, "stopping", "", "", token, "{}")
}

// TestStreamAnonymous: a stream without a token is anonymous, if that is on, or told that it is not.
func TestStreamAnonymous(t *testing.T) {
	h := newTestHandler(t)
	c, v := asksStream(h, "", "", "", `{"anonymous":true}`)
	if got := c.take(); v.Status != 0 || c.code != wire.CloseAuth || !strings.Contains(got, "anonymous access is off") {
		t.Errorf("%+v, close %d: %s", v, c.code, got)
	}
	h = newTestHandler(t, func(cfg *config.Config) { cfg.Anonymous.Rooms = []string{"prices", "trades"} })
	c, _ = asksStream(h, "/prices", "anonymous=true", "", "")
	if got := steady(c.take()); strings.Join(c.in, ",") != "prices" ||
		!strings.Contains(got, `{"jsonrpc":"2.0","id":0,"result":{"clientId":…,"userId":null`) {
		t.Errorf("in %v: %s", c.in, got)
	}
	h.closed(c, 1000)
	if n := h.limit.Conns.Load() + h.limit.Pending.Load(); n != 0 {
		t.Errorf("%d are counted", n)
	}
}

// TestStreamAsks: a stream whose token is checked elsewhere begins at once, and joins its rooms when
// the token was judged. If it is bad, the stream ends with an event.
func TestStreamAsks(t *testing.T) {
	s := newKeyServer(t)
	h := fetching(t, s)
	s.gate.Lock()
	s.set("k2", http.StatusOK)
	good, v := asksStream(h, "", "", s.token("k2", "42"), `{"rooms":["trades"]}`)
	if v.Status != 0 || sessionOf(good).phase != phAsking || good.take() != "" {
		t.Fatalf("%+v, phase %d", v, sessionOf(good).phase)
	}
	bad, _ := asksStream(h, "/trades", "", s.token("k3", "42"), "")
	s.gate.Unlock()
	good.hears(t, `"id":1,"result":{"rooms":[{"room":"trades","status":"joined"`)
	bad.hears(t, `"id":null,"error":{"code":-32002`)
	if bad.closed() != wire.CloseExpired || strings.Join(good.in, ",") != "trades" {
		t.Errorf("closed with %d; in %v", bad.closed(), good.in)
	}
}
