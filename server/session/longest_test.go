package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

// TestMaxSession: a connection ends after auth.max_session, however often its token is renewed.
func TestMaxSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Auth.MaxSession = 10 * time.Minute })
		token := tokenOf(t, "42", time.Hour)
		c, by := login(t, h, "42"), dial(t, h, "", "")
		by.says(authenticateBy(token))
		for range 4 {
			testwait.Pass(2 * time.Minute)
			if got := c.says(authenticateBy(tokenOf(t, "42", time.Hour))); !strings.Contains(got, `"expires":`) {
				t.Errorf("a renewal is answered with %s", got)
			}
		}
		testwait.Pass(59 * time.Second)
		if got := c.take(); got != "" {
			t.Errorf("told too early: %s", got)
		}
		testwait.Pass(2 * time.Second)
		by.hears(t, "auth_expiring")
		testwait.Pass(30 * time.Second) // a quarter of the two minutes that the last token was good for
		c.hears(t, "auth_expiring")
		c.says(authenticateBy(tokenOf(t, "42", time.Hour)))
		testwait.Pass(27 * time.Second)
		if c.closed() != 0 || by.closed() != 0 {
			t.Errorf("closed with %d and %d before its time", c.closed(), by.closed())
		}
		testwait.Pass(3 * time.Second)
		if c.closed() != 4201 || by.closed() != 4201 {
			t.Errorf("closed with %d and %d", c.closed(), by.closed())
		}

		// A token that ends before goes first.
		short := dial(t, h, tokenOf(t, "42", time.Minute), "")
		testwait.Pass(2 * time.Minute)
		if short.closed() != 4201 {
			t.Errorf("closed with %d", short.closed())
		}
	})
}
