package session

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// tieredToken is a token that names a tier.
func tieredToken(t testing.TB, user string, tier any) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "tier": tier}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(hs256Secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// withTiers changes a configuration's limits, and adds tiers that differ from them in what change sets.
func withTiers(burst int, tiers map[string]func(*config.Tier)) func(*config.Config) {
	return func(cfg *config.Config) {
		l := &cfg.Limits
		cfg.AutoJoin, l.ConnectionsPerUser, l.RoomsPerConnection = nil, 2, 3
		l.MessagesPerSecond, l.Burst = 1, burst
		for name, change := range tiers {
			tier := l.Untiered()
			change(&tier)
			l.Tiers[name] = tier
		}
	}
}

func pro(t *config.Tier) {
	t.ConnectionsPerUser, t.RoomsPerConnection, t.RoomsPerUser, t.Burst = 4, 6, 8, 20
	t.WildcardsPerConnection, t.RoomsPerWildcard = 1, 2
}

// TestTiers: the limits of an account are those of the tier that its token names, over all of its
// connections. A tier that there is not, or that is not a text, is none.
func TestTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, withTiers(5, map[string]func(*config.Tier){"pro": pro}))
		var log bytes.Buffer
		h.log = slog.New(slog.NewTextHandler(&log, nil))
		f := func(user string, tier any, conns, rooms, burst int) {
			t.Helper()
			var open []*fakeConn
			for {
				c := dial(t, h, tieredToken(t, user, tier), "")
				c.take()
				if c.closed() == wire.CloseTooMany {
					h.closed(c, wire.CloseTooMany)
					break
				}
				open = append(open, c)
			}
			c := open[0]
			joined := c.says(`{"method":"subscribe","params":{"rooms":["trades:A","trades:B","trades:C","trades:D",` +
				`"trades:E","trades:F","trades:G"]},"id":1}`)
			pings := 0
			for ; strings.Contains(c.says(`{"method":"ping","id":1}`), "timestamp"); pings++ {
			}
			if n := strings.Count(joined, `"status":"joined"`); len(open) != conns || n != rooms || pings+1 != burst {
				t.Errorf("%v: %d connections, %d rooms, %d messages, want %d, %d, %d", tier, len(open), n, pings+1,
					conns, rooms, burst)
			}
			for _, c := range open {
				c.SetTimer(time.Time{})
				h.closed(c, 1000)
			}
		}
		f("1", "pro", 4, 6, 20)
		f("2", "", 2, 3, 5)
		if n := h.limit.UnknownTiers.Load(); n != 0 || log.Len() == 0 {
			t.Errorf("%d unknown tiers are counted", n)
		}
		log.Reset()
		f("3", "gold", 2, 3, 5)
		f("4", "Pro", 2, 3, 5)
		f("5", []string{"pro"}, 2, 3, 5)
		f("6", strings.Repeat("x", 300), 2, 3, 5)
		if n := h.limit.UnknownTiers.Load(); n != 9 {
			t.Errorf("%d unknown tiers are counted", n)
		}
		if n := strings.Count(log.String(), "a token names a tier"); n != 1 {
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

// TestTierOfAccount: the rooms of all connections count, and wildcards have their tier's limits.
func TestTierOfAccount(t *testing.T) {
	h := newTestHandler(t, withTiers(5, map[string]func(*config.Tier){"pro": pro}))
	in := func() *fakeConn {
		c := dial(t, h, tieredToken(t, "42", "pro"), "")
		c.take()
		return c
	}
	a, b := in(), in()
	for i, c := range []*fakeConn{a, b} {
		got := c.says(`{"method":"subscribe","params":{"rooms":["trades:A","trades:B","trades:C","trades:D",` +
			`"trades:E"]},"id":1}`)
		if n := strings.Count(got, `"status":"joined"`); n != 5-2*i {
			t.Errorf("connection %d joined %d: %s", i, n, got)
		}
	}
	h.closed(a, 1000)
	got := b.says(`{"method":"subscribe","params":{"rooms":["prices:A*","prices:B*"]},"id":2}`)
	if !strings.Contains(got, `{"room":"prices:A*","status":"joined"`) ||
		!strings.Contains(got, "wildcards_per_connection is 1") {
		t.Errorf("got %s", got)
	}
	if r := b.asked[0]; r.Wildcards != 1 || r.MostRooms != 2 {
		t.Errorf("the loop is told %d wildcards of %d rooms", r.Wildcards, r.MostRooms)
	}
}

// TestTierPays: what appenders and the recaller count for a user is what the row says.
func TestTierPays(t *testing.T) {
	h := newTestHandler(t, withTiers(5, map[string]func(*config.Tier){
		"many": func(t *config.Tier) { t.EmptyRooms, t.RecallBytes = 7000, 1<<30 },
		"free": func(t *config.Tier) { t.EmptyRooms, t.RecallBytes = 0, 0 },
	}))
	f := func(tier string, rooms int, bytes int64) {
		t.Helper()
		c := dial(t, h, tieredToken(t, "42", tier), "")
		if who := h.pays(c); who.User != "42" || who.EmptyRooms != rooms || who.RecallBytes != bytes {
			t.Errorf("tier %q pays as %+v", tier, who)
		}
		h.closed(c, 1000)
		if who := h.pays(c); who.User != "" {
			t.Errorf("gone, it pays as %+v", who)
		}
	}
	f("many", 7000, 1<<30)
	f("free", -1, -1)
	f("", 1000, 256<<20)
}

// TestTiersReload: rows that are read again hold for those who are connected, from their next request
// on. A row that is gone leaves the limits of accounts without a tier, and a renewal changes the tier.
func TestTiersReload(t *testing.T) {
	h := newTestHandler(t, withTiers(5, map[string]func(*config.Tier){"pro": pro}))
	c := dial(t, h, tieredToken(t, "42", "pro"), "")
	c.take()
	n := 0
	joins := func(want bool) {
		t.Helper()
		n++
		got := c.says(fmt.Sprintf(`{"method":"subscribe","params":{"rooms":["trades:%d"]},"id":1}`, n))
		if strings.Contains(got, `"joined"`) != want {
			t.Errorf("room %d: %s", n, got)
		}
	}
	reload := func(tiers map[string]func(*config.Tier)) {
		t.Helper()
		cfg := config.Default()
		withTiers(1000, tiers)(cfg)
		if err := h.limit.SetTiers(&cfg.Limits); err != nil {
			t.Fatal(err)
		}
	}
	plain := func(*config.Tier) {}
	for range 6 {
		joins(true)
	}
	joins(false)
	reload(map[string]func(*config.Tier){"basic": plain, "pro": func(t *config.Tier) { t.RoomsPerConnection = 7 }})
	joins(true)
	joins(false)
	reload(map[string]func(*config.Tier){"basic": plain})
	c.says(`{"method":"unsubscribe","params":["trades:1","trades:2","trades:3","trades:4"],"id":1}`)
	joins(false) // three are left
	reload(map[string]func(*config.Tier){"pro": func(t *config.Tier) { t.RoomsPerConnection = 4 },
		"max": func(t *config.Tier) { t.RoomsPerConnection = 5 }})
	joins(true)
	joins(false)
	for range 2 { // the loop is told of another tier, once
		c.says(`{"method":"authenticate","params":{"token":"` + tieredToken(t, "42", "max") + `"},"id":7}`)
		if c.measured != 1 {
			t.Errorf("it is measured again %d times", c.measured)
		}
	}
	joins(true)
	joins(false)
	h.closed(c, 1000)
	if conns, rooms := h.limit.Users.Of("42"); conns != 0 || rooms != 0 {
		t.Errorf("%d connections and %d rooms are left", conns, rooms)
	}
}

// TestTierMarks: the tier and the question share a byte.
func TestTierMarks(t *testing.T) {
	var m marks
	for _, tier := range []limits.Tier{0, 1, config.MaxTiers} {
		for _, asks := range []bool{true, false} {
			m.setTier(tier)
			m.setAsks(asks)
			if m.tier() != tier || m.asks() != asks {
				t.Errorf("%d, %v: %08b", tier, asks, m)
			}
		}
	}
}

// TestTierUpgrade: a client that has used what its tier has is not closed when it comes into another one,
// in which a burst is over sooner.
func TestTierUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, withTiers(50, map[string]func(*config.Tier){"max": func(t *config.Tier) {
			t.MessagesPerSecond, t.Burst, t.RequestCost, t.RequestBurst = 2, 50, 100_000, 100
		}}))
		c := dial(t, h, tieredToken(t, "42", ""), "")
		for strings.Contains(c.says(`{"method":"ping","id":1}`), "timestamp") { // 50 s at its pace
		}
		testwait.Pass(2 * time.Second)
		got := c.says(`{"method":"authenticate","params":{"token":"` + tieredToken(t, "42", "max") + `"},"id":7}`)
		if !strings.Contains(got, `"result"`) {
			t.Fatalf("renewal: %s", got)
		}
		testwait.Pass(3 * time.Second)
		for range 5 {
			if got := c.says(`{"method":"ping","id":1}`); c.closed() != 0 || !strings.Contains(got, "timestamp") {
				t.Fatalf("closed with %d: %s", c.closed(), got)
			}
		}
		c.SetTimer(time.Time{})
		h.closed(c, 1000)
	})
}
