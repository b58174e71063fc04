package session

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tapecast/server/config"
)

// TestHandlerLog: what an operator looks for is there, with who it was, and no
// token.
func TestHandlerLog(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.ConnectionsPerUser = 1 })
	var b bytes.Buffer
	h.log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := func(want string) {
		t.Helper()
		if got := b.String(); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
		b.Reset()
	}
	token := tokenOf(t, "42", time.Hour)
	c := dial(t, h, token, "")
	f(`level=DEBUG msg=authenticated conn=17 user=42 remote=192.0.2.1:5000`)
	dial(t, h, token, "")
	f(`level=WARN msg="limit reached" limit=connections_per_user conn=17 user=42 remote=192.0.2.1:5000`)
	dial(t, h, token+"x", "")
	if strings.Contains(b.String(), token) {
		t.Errorf("a token in %s", b.String())
	}
	f(`msg="authentication failed" conn=17 remote=192.0.2.1:5000 reason="the token`)
	c.says(`{"method":"authenticate","params":{"token":"bad"},"id":1}`)
	f(`msg="authentication failed" conn=17 user=42 remote=192.0.2.1:5000 reason="the token is not a compact JWT`)
	h.closed(c, 1001)
	f(`level=DEBUG msg=closed conn=17 user=42 remote=192.0.2.1:5000 code=1001`)
}
