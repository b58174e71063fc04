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
