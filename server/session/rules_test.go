package session

import (
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/wire"
	"tapecast/server/config"
)

// setRules replaces the rules of a handler.
func setRules(t testing.TB, h *Handler, change func(*config.Config)) {
	t.Helper()
	cfg := plainConfig()
	cfg.AutoJoin = []string{"prices", "desk:2", "orders:{sub}"}
	change(cfg)
	if err := h.SetRules(cfg); err != nil {
		t.Fatal(err)
	}
}

func allow(name string, of config.Conditions) func(*config.Config) {
	return func(cfg *config.Config) { cfg.Allow = map[string]config.Conditions{name: of} }
}

// TestRulesReload: rooms that new rules do not allow are left, also those of a request that the old ones
// had judged.
func TestRulesReload(t *testing.T) {
	h := deskHandler(t)
	c := dial(t, h, claimed(t, desk), "")
	c.isIn(t, "prices", "desk:2", "orders:42")
	c.take()
	h.siftAfterRules(c)
	c.isIn(t, "prices", "desk:2", "orders:42")
	c.hold = true
	c.says(subscribe("desk:7"))
	setRules(t, h, allow("desk:*", config.Conditions{"role": {"boss"}}))
	h.siftAfterRules(c)
	got := c.take()
	if !strings.Contains(got, `"method":"left"`) || !strings.Contains(got, `{"room":"desk:2","status":"left"`) {
		t.Errorf("got %s", got)
	}
	c.settle()
	c.isIn(t, "prices", "orders:42")
	c.hold = false
	if got := c.says(subscribe("desk:1")); !strings.Contains(got, notAllowed) || c.closed() != 0 {
		t.Errorf("got %s, closed with %d", got, c.closed())
	}
	boss := dial(t, h, claimed(t, jwt.MapClaims{"role": "boss"}), "")
	boss.isIn(t, "prices", "desk:2", "orders:42")
	if n := h.Withdrawn(); n != 2 || h.Unruled() != 0 {
		t.Errorf("%d rooms withdrawn, %d closed", n, h.Unruled())
	}
	setRules(t, h, func(cfg *config.Config) { cfg.Auth.Services = config.Conditions{"role": {"boss"}} })
	if got := boss.says(subscribe("orders:7")); !strings.Contains(got, `"joined"`) {
		t.Errorf("a service: %s", got)
	}
	setRules(t, h, func(*config.Config) {})
	h.siftAfterRules(boss)
	boss.isIn(t, "prices", "desk:2", "orders:42")
}

// TestRulesOfNewClaims: claims that no rule has named before are not known of those who are connected. Who
// would be refused for that is closed, and comes back with the same token; the others stay.
func TestRulesOfNewClaims(t *testing.T) {
	grade := jwt.MapClaims{"grade": "a", "role": "desk"}
	f := func(h *Handler) {
		t.Helper()
		token := claimed(t, grade)
		c, other := dial(t, h, token, ""), dial(t, h, token, "")
		other.says(`{"method":"unsubscribe","params":["prices"],"id":1}`)
		setRules(t, h, allow("prices", config.Conditions{"grade": {"a"}}))
		for _, c := range []*fakeConn{c, other} {
			h.siftAfterRules(c)
		}
		if c.closed() != wire.CloseExpired || other.closed() != 0 {
			t.Errorf("closed with %d (%s), the other one with %d", c.closed(), c.reason, other.closed())
		}
		if other.says(subscribe("prices")); other.closed() != wire.CloseExpired {
			t.Errorf("a request that cannot be judged: closed with %d", other.closed())
		}
		again := dial(t, h, token, "")
		if again.says(subscribe("prices")); again.closed() != 0 || !slices.Contains(again.in, "prices") {
			t.Errorf("with the same token: closed with %d, in %q", again.closed(), again.in)
		}
		without := dial(t, h, claimed(t, desk), "")
		if got := without.says(subscribe("prices")); !strings.Contains(got, notAllowed) || without.closed() != 0 {
			t.Errorf("without the claim: %s, closed with %d", got, without.closed())
		}
		h.closed(again, 1000)
		h.siftAfterRules(again) // it is gone
		if n := h.Unruled(); n != 2 {
			t.Errorf("%d are counted", n)
		}
	}
	f(deskHandler(t))
	f(newTestHandler(t)) // connections keep no claims there
}

// TestRulesWithoutToken: rooms of clients without a token follow the list, and such clients are closed
// when nobody is let in any more.
func TestRulesWithoutToken(t *testing.T) {
	h := anonymousHandler(t)
	c := dial(t, h, "", "")
	c.says(asNobody)
	c.says(subscribe("trades:A"))
	setRules(t, h, func(cfg *config.Config) {
		cfg.Anonymous.Rooms, cfg.Anonymous.Connections = []string{"trades:*"}, 1
	})
	h.siftAfterRules(c)
	c.isIn(t, "trades:A")
	second := dial(t, h, "", "")
	if second.says(asNobody); second.closed() != wire.CloseTooMany {
		t.Errorf("over the new limit: closed with %d", second.closed())
	}
	setRules(t, h, func(*config.Config) {})
	user := login(t, h, "42")
	h.siftAfterRules(c)
	h.siftAfterRules(user)
	if c.closed() != wire.CloseAuth || user.closed() != 0 {
		t.Errorf("closed with %d, a user with %d", c.closed(), user.closed())
	}
}
