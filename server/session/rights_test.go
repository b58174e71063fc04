package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/loop/upgrade"
	"tapecast/server/auth"
	"tapecast/server/config"
)

// claimed makes a token of user 42 with further claims.
func claimed(t testing.TB, more jwt.MapClaims) string {
	t.Helper()
	c := jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, more)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(hs256Secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// deskHandler lets the role desk into desk:* and the role one into desk:1.
func deskHandler(t testing.TB, change ...func(*config.Config)) *Handler {
	return newTestHandler(t, append([]func(*config.Config){func(cfg *config.Config) {
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "desk:*", Class: "market"})
		cfg.AutoJoin = []string{"prices", "desk:2", "orders:{sub}"}
		cfg.Allow = map[string]config.Conditions{"desk:*": {"role": {"desk"}}, "desk:1": {"role": {"one"}}}
	}}, change...)...)
}

var (
	desk = jwt.MapClaims{"role": "desk"}
	one  = jwt.MapClaims{"role": []string{"one", "two"}}
)

const notAllowed = `{"code":-32007,"message":"forbidden: the token's claims do not allow this room"}`

func subscribe(rooms ...string) string {
	return fmt.Sprintf(`{"method":"subscribe","params":{"rooms":["%s"],"snapshot":false},"id":1}`,
		strings.Join(rooms, `","`))
}

// isIn checks which rooms a connection is in.
func (c *fakeConn) isIn(t testing.TB, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(c.in))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("in %q, want %q", got, want)
	}
	s := sessionOf(c)
	n := len(slices.DeleteFunc(got, func(name string) bool { return strings.HasSuffix(name, "*") }))
	if s.mu.Lock(); int(s.rooms) != n {
		t.Errorf("%d rooms are counted, and there are %d", s.rooms, n)
	}
	s.mu.Unlock()
}

// TestAllowEveryWayIn: claims hold for rooms however they are asked for.
func TestAllowEveryWayIn(t *testing.T) {
	h := deskHandler(t)
	counted := h.forbidden[3].Load
	f := func(claims jwt.MapClaims, refused int, rooms []string, how func(c *fakeConn, token string)) {
		t.Helper()
		before := counted()
		c := newFakeConn(h)
		how(c, claimed(t, claims))
		c.isIn(t, rooms...)
		out := c.take()
		told := strings.Count(out, `"code":-32007`) + strings.Count(out, `": forbidden: `) // that in a list's error
		if told != refused || counted()-before != uint64(refused) {
			t.Errorf("%v: %d told, %d counted, want %d, in %s", claims, told, counted()-before, refused, out)
		}
	}
	says := func(c *fakeConn, text string) {
		h.admitMessage(c)
		h.message(c, 1, []byte(text))
	}
	inHandshake := func(text string) func(c *fakeConn, token string) {
		return func(c *fakeConn, token string) {
			h.open(c, &upgrade.Request{Token: token})
			if text != "" {
				says(c, text)
			}
		}
	}
	after := func(params string) func(c *fakeConn, token string) {
		return func(c *fakeConn, token string) {
			h.open(c, &upgrade.Request{})
			says(c, `{"method":"authenticate","params":{"token":"`+token+`"`+params+`},"id":1}`)
		}
	}
	since := `"since":{"desk:2":{"epoch":"e1","0":1}}`
	own := []string{"prices", "orders:42"}
	all := append([]string{"desk:2"}, own...)

	f(desk, 0, all, inHandshake(""))
	f(nil, 0, own, inHandshake("")) // a room of the configuration that is not allowed is left out
	f(nil, 0, own, after(""))
	f(desk, 0, all, after(""))
	f(nil, 1, nil, after(`,"join":["desk:2"]`))
	f(nil, 1, nil, after(`,"join":["desk:2"],`+since))
	f(desk, 0, []string{"desk:2"}, after(`,"join":["desk:2"],`+since))
	f(nil, 2, own, inHandshake(subscribe("desk:2", "desk:1")))
	f(one, 1, append([]string{"desk:1"}, own...), inHandshake(subscribe("desk:2", "desk:1")))
	f(nil, 1, own, inHandshake(subscribe("desk:*")))
	f(one, 1, own, inHandshake(subscribe("desk:*")))
	f(nil, 1, own, inHandshake(subscribe("desk:2*")))
	f(nil, 1, own, inHandshake(`{"method":"subscribe","params":{"rooms":["desk:2"],`+since+`},"id":1}`))
	f(nil, 1, own, inHandshake(`{"method":"subscribe","params":{"rooms":["desk:*"],`+since+`},"id":1}`))
	f(nil, 1, own, inHandshake(`{"method":"subscribe","params":["desk:2"],"id":1}`))
	f(nil, 0, own, inHandshake(subscribe("Desk:2", "desk*", "*", "de*")))
}

// TestAllowManual: after ?join=manual the claims of the newest token count.
func TestAllowManual(t *testing.T) {
	h := deskHandler(t)
	for _, renewed := range []bool{false, true} {
		c := dial(t, h, claimed(t, nil), "join=manual")
		text, want := `{"method":"authenticate","params":{},"id":1}`, []string{"prices", "orders:42"}
		if renewed {
			text = `{"method":"authenticate","params":{"token":"` + claimed(t, desk) + `"},"id":1}`
			want = append(want, "desk:2")
		}
		c.says(text)
		c.isIn(t, want...)
	}
}

// TestRenewedClaims: a new token with other claims takes the rooms away that it does not allow, also
// those whose join is under way.
func TestRenewedClaims(t *testing.T) {
	h := deskHandler(t)
	c := dial(t, h, claimed(t, jwt.MapClaims{"role": "desk one"}), "")
	c.take()
	renew := func(claims jwt.MapClaims) string {
		t.Helper()
		got := c.says(`{"method":"authenticate","params":{"token":"` + claimed(t, claims) + `"},"id":1}`)
		if !strings.Contains(got, `"userId":"42"`) {
			t.Errorf("got %s", got)
		}
		_, rest, _ := strings.Cut(got, "\n")
		return rest
	}
	c.under = []string{"desk:7"}
	c.says(subscribe("desk:1", "desk:*"))
	if got := renew(jwt.MapClaims{"role": "desk one"}); got != "" {
		t.Errorf("the same claims: %s", got)
	}
	const at = `"status":"left","class":"market","chain":false,"positions":{"epoch":"e1","0":7}`
	want := `{"jsonrpc":"2.0","method":"left","params":{"code":-32007,"message":"forbidden: the token's claims do ` +
		`not allow this room","rooms":[{"room":"desk:2",` + at + `},{"room":"desk:*",` + at + `,"rooms":[` +
		`{"room":"desk:7",` + at + `}]}]}}`
	if got := renew(one); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.isIn(t, "prices", "orders:42", "desk:1")
	if n := h.Withdrawn(); n != 2 {
		t.Errorf("%d rooms withdrawn", n)
	}
	if got := c.says(subscribe("desk:2")); !strings.Contains(got, notAllowed) {
		t.Errorf("got %s", got)
	}
	renew(desk)
	c.isIn(t, "prices", "orders:42", "desk:1") // desk:* holds for desk:1 too

	c.hold = true
	c.says(subscribe("desk:3"))
	renew(nil)
	c.settle()
	c.isIn(t, "prices", "orders:42")
	renew(desk)
	c.says(subscribe("desk:3"))
	c.settle()
	c.isIn(t, "prices", "orders:42", "desk:3")

	c = dial(t, h, claimed(t, desk), "") // a wildcard without rooms is told of too
	c.take()
	c.says(subscribe("desk:*"))
	if got := renew(one); !strings.Contains(got, `"method":"left"`) || !strings.Contains(got, `"room":"desk:*"`) {
		t.Errorf("got %s", got)
	}
}

// TestNoRulesNoMemory: without rules a session has no claims.
func TestNoRulesNoMemory(t *testing.T) {
	c := dial(t, newTestHandler(t), claimed(t, desk), "")
	if _, ok := c.Session().(*session); !ok {
		t.Errorf("the session is a %T", c.Session())
	}
	c = dial(t, deskHandler(t), claimed(t, desk), "")
	if !c.Session().(*ruled).claims.Has("role", "desk") {
		t.Error("the claims are lost")
	}
}

// FuzzAllowed: whatever a client with some claims sends, and whatever tokens follow, it is in no room
// that its claims do not allow.
func FuzzAllowed(f *testing.F) {
	f.Add(subscribe("desk:1", "desk:*", "desk:2*", "prices:*"), uint8(1), uint8(2))
	f.Add(`{"method":"authenticate","params":{"token":"x","join":["desk:1"]},"id":3}`, uint8(0), uint8(3))
	f.Add(subscribe("desk:1", "dęsk:1", "desk:", "desk:\\u0031"), uint8(2), uint8(0))
	h := deskHandler(f, func(cfg *config.Config) {
		l := &cfg.Limits
		l.MessagesPerSecond, l.RequestCost, l.SnapshotBytes, l.BadTokensPerSecond = 0, 0, 0, 0
		cfg.Allow["prices:X*"] = config.Conditions{"role": {"one"}}
	})
	tokens := []string{claimed(f, nil), claimed(f, desk), claimed(f, one),
		claimed(f, jwt.MapClaims{"role": "desk one"})}
	f.Fuzz(func(t *testing.T, text string, first, then uint8) {
		first, then = first%4, then%4
		c := newFakeConn(h)
		c.under = []string{"desk:1", "desk:2", "prices:X", "prices:XY", "prices:Z"}
		h.open(c, &upgrade.Request{Token: tokens[first]})
		look := func(has uint8) {
			role := map[string]bool{"desk": has&1 != 0, "one": has&2 != 0}
			for _, room := range slices.Concat(c.in, roomsUnder(c)) {
				room = strings.TrimSuffix(room, "*")
				bad := room == "desk:1" && !role["one"] && !role["desk"] ||
					room != "desk:1" && strings.HasPrefix(room, "desk:") && !role["desk"] ||
					strings.HasPrefix(room, "prices:X") && !role["one"]
				if bad || strings.Contains(room, ":") && strings.HasPrefix(room, "orders") && room != "orders:42" {
					t.Errorf("%q leads into %q with %v", text, room, role)
				}
			}
		}
		h.message(c, 1, []byte(text))
		look(first)
		c.hold = true
		h.message(c, 1, []byte(text))
		h.message(c, 1, []byte(`{"method":"authenticate","params":{"token":"`+tokens[then]+`"},"id":1}`))
		c.settle()
		c.hold = false
		look(then)
		c.SetTimer(time.Time{})
		h.closed(c, 1000)
	})
}

// roomsUnder returns the rooms that a connection is in by its wildcards.
func roomsUnder(c *fakeConn) (names []string) {
	for name, rooms := range c.wildcards {
		for _, j := range rooms {
			if slices.Contains(c.in, name) {
				names = append(names, j.Name)
			}
		}
	}
	return names
}

// TestRenewalByAnswer: a token that is judged elsewhere changes the claims too, and rooms that were
// asked for meanwhile are sifted.
func TestRenewalByAnswer(t *testing.T) {
	h := deskHandler(t)
	c := dial(t, h, claimed(t, desk), "")
	s := sessionOf(c)
	q := getRequest()
	defer putRequest(q)
	judged := &asking{who: h.who(c), by: h.rules.Load()}
	h.judged(c, s, q, phOpen, authRequest{}, auth.Identity{User: "42", Expires: time.Now().Add(time.Hour).Unix(),
		Looked: judged.by.looked}, nil, time.Now())
	c.isIn(t, "prices", "orders:42")
	c.in = append(c.in, "desk:9") // a join that the old claims allowed has come late
	h.reserve(c, s, 1)
	h.siftIf(c, judged)
	c.isIn(t, "prices", "orders:42")
}

// TestAccounts: one login with many accounts is in the rooms of each, as far as a connection may have
// rooms. A new token with other accounts takes rooms away.
func TestAccounts(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) {
		cfg.Classes["accounts"] = config.Class{Owner: "{claims.accounts[]}"}
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "acc:{owner}", Class: "accounts"})
		cfg.AutoJoin = []string{"prices", "acc:{claims.accounts[]}", "user:{sub}"}
		cfg.Limits.RoomsPerConnection = 5
	})
	of := func(accounts ...string) jwt.MapClaims { return jwt.MapClaims{"accounts": accounts} }
	c := dial(t, h, claimed(t, of("A1", "A2")), "")
	c.isIn(t, "prices", "user:42", "acc:A1", "acc:A2")
	if got := c.take(); !strings.Contains(got, `"userRooms":["acc:A1","acc:A2","user:42"]`) {
		t.Errorf("got %s", got)
	}
	for room, owned := range map[string]bool{"acc:A1": true, "acc:A3": false, "acc:42": false, "user:A1": false} {
		if got := c.says(subscribe(room)); strings.Contains(got, `"code":-32007`) == owned {
			t.Errorf("%s: %s", room, got)
		}
	}
	got := c.says(`{"method":"authenticate","params":{"token":"` + claimed(t, of("A2", "A3")) + `"},"id":1}`)
	if !strings.Contains(got, `"method":"left"`) {
		t.Errorf("got %s", got)
	}
	c.isIn(t, "prices", "user:42", "acc:A2")

	many := dial(t, h, claimed(t, of("A1", "A2", "A3", "A4", "A5", "*")), "")
	many.isIn(t, "prices", "acc:A1", "acc:A2", "acc:A3", "acc:A4")
	told := many.take()
	for _, want := range []string{`{"room":"acc:A5","error":{"code":-32009`, `{"room":"user:42","error":{"code":-32009`,
		`{"room":"acc:*","error":{"code":-32007`} {
		if !strings.Contains(told, want) {
			t.Errorf("no %s in %s", want, told)
		}
	}
	dial(t, h, claimed(t, nil), "").isIn(t, "prices", "user:42")
}
