package session

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
	"tapecast/server/config"
)

// FuzzStreamOf: whatever the body or the query of a request for a stream is, it is granted or refused with a
// reason, all that the client gets is JSON, and it is in no room that it may not be in.
func FuzzStreamOf(f *testing.F) {
	for _, s := range [][2]string{
		{"", `{"rooms":["prices:A","orders:43","orders:42"],"since":{"prices:A":{"epoch":"e1","0":1}},"max_rate":2}`},
		{"", `{"requests":[{"id":1,"params":{"rooms":["trades"]}},{"id":"x","params":["trades:*"]}]}`},
		{"", `{},"method":"list_subscriptions"`}, {"", `{"anonymous":true}`}, {"", `[`},
		{"orders:42", "key=a&key=b&since=e1/0:1,1:-1&max_rate=1e1"}, {"a*", ""}, {`"\`, "since=%22"},
	} {
		f.Add(s[0], s[1])
	}
	h := newTestHandler(f, func(cfg *config.Config) { cfg.Limits.RequestCost, cfg.Limits.ConnectionsPerUser = 0, 0 })
	token := tokenOf(f, "42", 24*time.Hour)
	f.Fuzz(func(t *testing.T, room, text string) {
		path, query, body := "/stream", "", text
		if room != "" {
			path, query, body = path+"/"+room, text, ""
		}
		c := newFakeConn(h)
		v := h.open(c, &upgrade.Request{Stream: "/stream", Path: path, Query: query, Body: []byte(body), Token: token,
			Header: func(string) string { return "" }})
		if v.Status != 0 && (v.Status < 400 || v.Status > 599 || v.Body == "") {
			t.Errorf("refused by %+v", v)
		}
		for _, m := range c.out {
			if !json.Valid([]byte(m)) {
				t.Errorf("%q %q is answered by what is no JSON: %q", room, text, m)
			}
		}
		for _, name := range c.in {
			if p, owner, ok := h.catalog.Resolve(name); ok && p.Class.Private() && owner != "42" {
				t.Errorf("%q %q leads into %q", room, text, name)
			}
		}
		if c.session != nil {
			h.closed(c, wire.CloseNone)
		}
		if n := h.limit.Conns.Load() + h.limit.Pending.Load() + int64(h.limit.Users.Len()); n != 0 {
			t.Fatalf("%d are counted", n)
		}
	})
}

// FuzzMessage: whatever an authenticated client sends, all that it gets back is
// JSON, and it stays in no room that it may not be in.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"method":"subscribe","params":{"rooms":["prices:A","orders:43","orders:42"],"snapshot":false},"id":1}`,
		`{"method":"SUBSCRIBE","params":["trades:\u0000","x\"y"],"id":"a"}`,
		`{"method":"unsubscribe","params":["prices"],"id":null}`, `{"method":"list_subscriptions","id":2}`,
		`{"method":"authenticate","params":{"token":"x","join":["prices"],"positions":false},"id":3}`,
		`{"method":"subscribe","params":{"rooms":["trades"],"since":{"trades":{"topicId":"T","next":{"0":1}}}},"id":4}`,
		`{"method":"heartbeat","id":-1}`, `[1]`, `{"id":{}}`,
	} {
		f.Add([]byte(s))
	}
	h := newTestHandler(f, func(cfg *config.Config) { // one user sends all that the fuzzer thinks of
		l := &cfg.Limits
		l.MessagesPerSecond, l.RequestCost, l.SnapshotBytes, l.BadTokensPerSecond = 0, 0, 0, 0
	})
	token := tokenOf(f, "42", 24*time.Hour)
	f.Fuzz(func(t *testing.T, p []byte) {
		if !utf8.Valid(p) {
			return // the loop lets none through
		}
		c := newFakeConn(h)
		h.open(c, &upgrade.Request{Token: token})
		c.take()
		for range 3 {
			h.message(c, wire.OpText, p)
		}
		for _, m := range c.out {
			if !json.Valid([]byte(m)) || !utf8.ValidString(m) {
				t.Errorf("%q is answered by what is no JSON: %q", p, m)
			}
		}
		for _, room := range c.in {
			pattern, owner, ok := h.catalog.Resolve(room)
			if prefix, wildcard := strings.CutSuffix(room, "*"); wildcard {
				pattern, _ = h.catalog.Under(prefix)
				ok = pattern != nil
			}
			if !ok || pattern.Class.Private() && owner != "42" {
				t.Errorf("%q leads into %q", p, room)
			}
		}
		if c.code != 0 {
			t.Errorf("%q is answered by close %d", p, c.code)
		}
		c.SetTimer(time.Time{})
		h.closed(c, 1000)
		if n := h.limit.Conns.Load(); n != 0 {
			t.Errorf("%d connections are counted", n)
		}
	})
}
