package session

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/loop/upgrade"
	"tapecast/rooms/testwait"
	"tapecast/server/config"
)

// TestBadTokens: an address whose tokens are bad has no more of them checked for a while; others do.
func TestBadTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) { cfg.Limits.BadTokensPerSecond = 1 })
		token := "x.y.z"
		try := func(addr string, say bool) int { return h.triesToken(token, addr, say) }
		checked := h.auth.Checked()
		for i := range 11 {
			if got := try("2001:db8::1", i%2 == 0); got != 0 {
				t.Fatalf("token %d: %d", i, got)
			}
		}
		if a, b := try("2001:db8::2", false), try("2001:db8::3", true); a != 503 || b != 1 {
			t.Errorf("over the limit: %d and %d", a, b)
		}
		if n := h.auth.Checked() - checked; n != 11 {
			t.Errorf("%d tokens were checked", n)
		}
		if a := try("192.0.2.1", false); a != 0 {
			t.Errorf("another address: %d", a)
		}
		testwait.Pass(5 * time.Second)
		if a := try("2001:db8::1", false); a != 0 {
			t.Errorf("5 s later: %d", a)
		}
		expired := func(user string) string {
			claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(-time.Hour).Unix()}
			text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(hs256Secret))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		// A crowd behind one address whose tokens have expired is let through to hear of it.
		crowd := "192.0.2.7"
		for i := range 90 {
			token = expired("u" + strconv.Itoa(i))
			if got := try(crowd, i%2 == 0); got != 0 {
				t.Fatalf("user %d of the crowd: %d", i, got)
			}
		}
		// The same token again and again is another matter.
		tries := 0
		for ; try(crowd, tries%2 == 0) == 0; tries++ {
			if tries == 30 {
				t.Fatal("one expired token has no limit")
			}
		}
		if tries != 9+11 { // it was there once
			t.Errorf("an expired token was checked %d times more", tries)
		}
		token = expired("other")
		if got := try(crowd, false); got != 503 {
			t.Errorf("behind the address that is over its limit: %d", got)
		}
	})
}

// triesToken connects with a token in the head, or says it afterwards. It returns the status of the
// handshake; 1: what was said was over the limit.
func (h *Handler) triesToken(token, addr string, say bool) int {
	c := newFakeConn(h)
	c.remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 1)
	inHead := token
	if say {
		inHead = ""
	}
	v := h.open(c, &upgrade.Request{Token: inHead})
	if v.Status == 0 && say {
		if got := c.says(`{"method":"authenticate","params":{"token":"` + token +
			`"},"id":1}`); strings.Contains(got, overBudgetReply) {
			v.Status = 1
		}
	}
	c.SetTimer(time.Time{})
	h.closed(c, 1000)
	return v.Status
}
