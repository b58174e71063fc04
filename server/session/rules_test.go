package session

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
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
		if c.closed() != 0 || h.Unsure() != 1 {
			t.Errorf("closed at once with %d; %d are to be", c.closed(), h.Unsure())
		}
		h.closeUnsure()
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

// closeUnsure does at once what Run does.
func (h *Handler) closeUnsure() {
	for c := h.again.take(); c != nil; c = h.again.take() {
		h.sift(c)
	}
}

// TestRulesSpread: those whose tokens must be looked at again are closed one after the other, over the time
// of a drain at most.
func TestRulesSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 400
		h := newTestHandler(t, func(cfg *config.Config) {
			cfg.Server.Drain, cfg.Limits.ConnectionsPerUser = 2*time.Second, 0
		})
		ctx, cancel := context.WithCancel(context.Background())
		var ended sync.WaitGroup
		ended.Go(func() { h.Run(ctx) })
		defer ended.Wait()
		defer cancel()
		token := claimed(t, jwt.MapClaims{"grade": "a"})
		var all []*fakeConn
		for i := range most {
			all = append(all, dial(t, h, token, ""))
			all[i].id = uint64(i)
		}
		closed := func() (n int) {
			for _, c := range all {
				if c.closed() == wire.CloseExpired && c.reason == comeAgainReason {
					n++
				}
			}
			return n
		}
		setRules(t, h, allow("prices", config.Conditions{"grade": {"a"}}))
		for _, c := range all {
			h.siftAfterRules(c)
		}
		for i := range 4 {
			testwait.Pass(500 * time.Millisecond)
			if n, want := closed(), (i+1)*most/4; n < want-most/20 || n > want+most/20 {
				t.Errorf("after %d half seconds %d are closed", i+1, n)
			}
		}
		for _, c := range all {
			h.closed(c, wire.CloseExpired)
		}
	})
}

// TestRulesSpreadAnew: those that are to be closed stay if they have a new token by then, or if other rules
// come meanwhile.
func TestRulesSpreadAnew(t *testing.T) {
	h := deskHandler(t)
	token := claimed(t, jwt.MapClaims{"grade": "a"})
	c := dial(t, h, token, "")
	f := func(meanwhile func(), left int) {
		t.Helper()
		setRules(t, h, allow("prices", config.Conditions{"grade": {"a"}}))
		h.siftAfterRules(c)
		if meanwhile(); h.Unsure() != left {
			t.Errorf("%d are to be closed, want %d", h.Unsure(), left)
		}
		h.closeUnsure()
		if c.isIn(t, "prices", "orders:42"); c.closed() != 0 {
			t.Errorf("closed with %d", c.closed())
		}
	}
	f(func() { setRules(t, h, func(*config.Config) {}) }, 0)
	f(func() { c.says(`{"method":"authenticate","params":{"token":"` + token + `"},"id":1}`) }, 1)
}

// TestRulesForget: a claim that no rule names any more is not kept, and refuses no token for its size.
func TestRulesForget(t *testing.T) {
	h := deskHandler(t)
	setRules(t, h, allow("prices", config.Conditions{"large": {"x"}}))
	token := claimed(t, jwt.MapClaims{"large": strings.Repeat("x", 5000)})
	if c := dial(t, h, token, ""); c.closed() != wire.CloseAuth {
		t.Errorf("it is kept: closed with %d", c.closed())
	}
	setRules(t, h, func(*config.Config) {})
	if c := dial(t, h, token, ""); c.closed() != 0 {
		t.Errorf("closed with %d: %s", c.closed(), c.take())
	}
}

// TestRulesOfThoseWhoCome: a change of the rules while somebody comes in is judged by the new ones.
func TestRulesOfThoseWhoCome(t *testing.T) {
	h := deskHandler(t)
	grade := allow("prices", config.Conditions{"grade": {"a"}})
	token := claimed(t, jwt.MapClaims{"grade": "a", "role": "desk"})
	id, err := h.auth.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	waits, comes := dial(t, h, token, "join=manual"), dial(t, h, "", "")
	for _, c := range []*fakeConn{waits, comes} {
		c.take()
	}
	setRules(t, h, grade)
	h.siftAfterRules(waits) // it has no rooms yet
	h.closeUnsure()
	if waits.says(`{"method":"authenticate","id":1}`); waits.closed() != wire.CloseExpired {
		t.Errorf("after join=manual: in %q, closed with %d", waits.in, waits.closed())
	}
	q := getRequest()
	defer putRequest(q)
	q.id = []byte("1")
	h.judged(comes, sessionOf(comes), q, phPending, authRequest{token: token}, id, nil, time.Now())
	if got := comes.take(); comes.closed() != wire.CloseExpired || !strings.Contains(got, `"code":-32010`) {
		t.Errorf("a token of before: %s, in %q, closed with %d", got, comes.in, comes.closed())
	}
	again := dial(t, h, token, "join=manual")
	if again.says(`{"method":"authenticate","id":1}`); again.closed() != 0 || !slices.Contains(again.in, "prices") {
		t.Errorf("again: in %q, closed with %d", again.in, again.closed())
	}
}

// TestRulesOfAnonymousWhoCome: nobody is let in without a token once that is off, not even at that moment.
func TestRulesOfAnonymousWhoCome(t *testing.T) {
	h := anonymousHandler(t)
	c := dial(t, h, "", "")
	c.take()
	c.onRemote = func() {
		if h.calls[opAuthenticate].Load() > 0 { // it has found that it may come in
			c.onRemote = nil
			setRules(t, h, func(*config.Config) {})
			h.siftAfterRules(c)
		}
	}
	if c.says(asNobody); c.closed() != wire.CloseAuth {
		t.Errorf("closed with %d, in %q", c.closed(), c.in)
	}
	h.closed(c, wire.CloseAuth)
	if n := h.limit.Anonymous.Count(); n != 0 {
		t.Errorf("%d are counted", n)
	}
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
