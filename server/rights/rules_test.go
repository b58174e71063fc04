package rights

import (
	"strings"
	"testing"

	"tapecast/server/auth"
	"tapecast/server/config"
)

// claims makes claims of "role=desk admin" (a text), "desks=[1,2]" (a list) and so on.
func claims(texts ...string) *auth.Claims {
	c := &auth.Claims{}
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		claim := auth.Claim{Name: name, Text: value, Words: true}
		if list, ok := strings.CutPrefix(value, "["); ok {
			claim = auth.Claim{Name: name, List: strings.Split(strings.TrimSuffix(list, "]"), ",")}
		}
		c.List = append(c.List, claim)
	}
	return c
}

func testRules(t testing.TB, change func(*config.Config)) *Rules {
	t.Helper()
	cfg := config.Default()
	cfg.Rooms = append(cfg.Rooms, config.Room{Match: "desk:*", Class: "stream"},
		config.Room{Match: "desk:vip", Class: "stream"})
	change(cfg)
	catalog, err := cfg.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	return New(cfg, catalog)
}

// decide decides on a room or wildcard that has a pattern.
func (r *Rules) decide(t testing.TB, who Who, name string) Verdict {
	t.Helper()
	prefix, star := strings.CutSuffix(name, "*")
	if star {
		p, _ := r.catalog.Under(prefix)
		if p == nil {
			t.Fatalf("no pattern for %s", name)
		}
		return r.AdmitsUnder(who, p, prefix)
	}
	p, owner, ok := r.catalog.Resolve(name)
	if !ok {
		t.Fatalf("no pattern for %s", name)
	}
	return r.Admits(who, p, owner, name)
}

// TestAllow: who may join which room or wildcard.
func TestAllow(t *testing.T) {
	r := allowing(t)
	f := func(want Verdict, name string, has ...string) { t.Helper(); r.is(t, want, name, has...) }
	f(OK, "prices:A")
	f(OK, "desk:2", "role=desk")
	f(OK, "desk:2", "role=admin desk")
	f(OK, "desk:2", "role=[admin,desk]")
	for _, bad := range []string{"role=", "role=desks", "role=Desk", "role=[admin desk]", "role=*", "Role=desk",
		"x=desk", "role=[]", "role=desk\u00a0"} {
		want := NotAllowed
		if bad == "role=desk\u00a0" { // white space ends a word
			want = OK
		}
		f(want, "desk:2", bad)
		f(want, "desk:*", bad)
	}
	f(OK, "desk:11", "role=desk")
	f(NotAllowed, "desk:11", "role=one")
	f(OK, "desk:11", "role=one", "tenant=acme")
	f(OK, "desk:1", "role=eins", "tenant=acme")
	f(NotAllowed, "desk:2", "role=one", "tenant=acme")
	f(OK, "desk:vip", "role=vip")
	f(OK, "desk:vip", "role=desk")
	f(NotAllowed, "desk:vip", "role=one", "tenant=acme")
}

// TestAllowWildcards: every room that a wildcard could ever join must be allowed.
func TestAllowWildcards(t *testing.T) {
	r := allowing(t)
	f := func(want Verdict, name string, has ...string) { t.Helper(); r.is(t, want, name, has...) }
	f(OK, "desk:*", "role=desk")
	f(NotAllowed, "desk:*", "role=one", "tenant=acme")
	f(OK, "desk:1*", "role=one", "tenant=acme")
	f(OK, "desk:11*", "role=one", "tenant=acme")
	f(NotAllowed, "desk:1*", "role=one")
	f(NotAllowed, "desk:v*", "role=vip")
	f(NotAllowed, "prices:*")
	f(OK, "prices:*", "role=desk")
	f(NotAllowed, "prices:X*")
	f(NotAllowed, "prices:XY*")
	f(OK, "prices:Y*")
	f(NotAllowed, "trades:*")
	f(NotAllowed, "trades:Y*")
	f(OK, "trades:YZ*")
	f(OK, "trades:*", "role=desk")
	f(OK, "book:*")
}

// TestAllowPrivate: a private room must be one's own besides.
func TestAllowPrivate(t *testing.T) {
	r := allowing(t)
	f := func(want Verdict, name string, has ...string) { t.Helper(); r.is(t, want, name, has...) }
	f(NotAllowed, "orders:42")
	f(OK, "orders:42", "mfa=true")
	f(OtherUser, "orders:43", "mfa=true")
	f(EachOnes, "orders:*", "mfa=true")
	f(OtherUser, "user:43")
	f(OK, "user:42")
	f(NotAllowed, "portfolio:42", "x=y") // without conditions it is nobody's
	if got := r.decide(t, Who{User: "42"}, "desk:2"); got != NotAllowed {
		t.Errorf("without claims: %v", got)
	}
	if got := r.decide(t, Who{}, "user:42"); got != OtherUser {
		t.Errorf("without a user: %v", got)
	}
}

// allowing has a rule of each kind.
func allowing(t *testing.T) *Rules {
	return testRules(t, func(cfg *config.Config) {
		cfg.Allow = map[string]config.Conditions{
			"desk:*":       {"role": {"desk"}},
			"desk:1*":      {"role": {"one", "eins"}, "tenant": {"acme"}},
			"desk:vip":     {"role": {"vip"}},
			"prices:X*":    {"role": {"desk"}},
			"trades:Y":     {"role": {"desk"}},
			"orders:*":     {"mfa": {"true"}},
			"portfolio:42": {},
		}
	})
}

// is demands a verdict on user 42 with claims.
func (r *Rules) is(t *testing.T, want Verdict, name string, has ...string) {
	t.Helper()
	if got := r.decide(t, Who{User: "42", Claims: claims(has...)}, name); got != want {
		t.Errorf("%s with %q: %v, want %v", name, has, got, want)
	}
}

// TestWildcardOfOwnPattern: a rule for a room with a pattern of its own does not count for the
// wildcard beside it, which does not join that room.
func TestWildcardOfOwnPattern(t *testing.T) {
	r := testRules(t, func(cfg *config.Config) {
		cfg.Allow = map[string]config.Conditions{"desk:vip": {"role": {"vip"}}}
	})
	if got := r.decide(t, Who{User: "42"}, "desk:*"); got != OK {
		t.Errorf("got %v", got)
	}
}

// TestOwners: whose claims name the owner of a private room may join it.
func TestOwners(t *testing.T) {
	r := testRules(t, func(cfg *config.Config) {
		cfg.Classes["accounts"] = config.Class{Owner: "{claims.accounts[]}"}
		cfg.Classes["branch"] = config.Class{Owner: "{claims.branch}"}
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "acc:{owner}", Class: "accounts"},
			config.Room{Match: "branch:{owner}", Class: "branch"})
		cfg.AutoJoin = []string{"prices", "user:{sub}", "acc:{claims.accounts[]}", "branch:{claims.branch}",
			"desk:{claims.desks[]}", "desk:1"}
		cfg.Allow = map[string]config.Conditions{"desk:2": {"role": {"desk"}}}
	})
	f := func(want Verdict, name string, has ...string) { t.Helper(); r.is(t, want, name, has...) }
	f(OK, "acc:A1", "accounts=[A1,A2]")
	f(OK, "acc:A2", "accounts=A1 A2")
	f(OK, "branch:B1", "branch=B1")
	for _, has := range []string{"accounts=", "accounts=[]", "accounts=A", "accounts=a1", "accounts=[A1 A2]",
		"account=[A1]", "branch=A1", "accounts=*", "accounts=[*]", "accounts={claims.accounts[]}"} {
		f(OtherUser, "acc:A1", has)
	}
	f(OtherUser, "acc:42") // the user's own name is no account
	f(OtherUser, "branch:B1", "branch=B1 B2")
	f(OtherUser, "branch:B1", "branch=[B1]")
	f(EachOnes, "acc:*", "accounts=[A1]")
	f(EachOnes, "acc:A*", "accounts=*")

	auto := func(want string, has ...string) {
		t.Helper()
		names, user := r.AutoJoin(Who{User: "42", Claims: claims(has...)})
		if got := strings.Join(names, " "); got != want || user != "42" {
			t.Errorf("%q joins %s, want %s", has, got, want)
		}
	}
	auto("prices user:42 desk:1")
	auto("prices user:42 acc:A1 acc:A2 branch:B1 desk:1 desk:3", "accounts=[A1,A2,A1]", "branch=B1", "desks=1 3 2")
	auto("prices user:42 desk:2 desk:1", "desks=2", "role=desk", "branch=[B1]")
	// What is not the name of a room stays, so that the client is told.
	auto("prices user:42 acc:* desk:* desk:1", "accounts=[*]", "desks=*")
}

// TestAnonymousAndServices: a client without a token joins what is listed, and a service everything.
func TestAnonymousAndServices(t *testing.T) {
	r := testRules(t, func(cfg *config.Config) {
		cfg.Rooms = append(cfg.Rooms, config.Room{Match: "trades:p:{owner}", Class: "private"})
		cfg.AutoJoin = []string{"prices", "trades", "user:{sub}", "desk:{claims.desk}", "desk:1"}
		cfg.Anonymous.Rooms = []string{"prices", "trades:*", "desk:1", "user:42", "orders:*"} // check refuses some
		cfg.Allow = map[string]config.Conditions{"desk:*": {"role": {"desk"}}, "trades:X*": {"role": {"desk"}}}
		cfg.Auth.Services = config.Conditions{"scope": {"svc", "svc2"}, "env": {"prod"}}
	})
	f := func(want Verdict, who Who, rooms ...string) {
		t.Helper()
		for _, room := range rooms {
			if got := r.decide(t, who, room); got != want {
				t.Errorf("%+v, %s: %v, want %v", who, room, got, want)
			}
		}
	}
	nobody := Who{Anonymous: true}
	f(OK, nobody, "prices", "trades:A", "trades:A*")
	f(NotAnonymous, nobody, "trades", "prices:A", "prices:*", "book:A", "user:42", "user:43", "orders:42", "orders:*",
		"trades:p:42", "desk:2")
	f(NotAllowed, nobody, "desk:1", "trades:X", "trades:X*")
	f(NotAnonymous, Who{Anonymous: true, User: "42", Claims: claims("scope=svc", "env=prod")}, "user:42", "desk:2")

	service := Who{User: "risk", Claims: claims("scope=read svc2", "env=prod")}
	f(OK, service, "prices", "desk:2", "desk:*", "trades:X*", "user:42", "orders:43", "user:risk")
	f(EachOnes, service, "orders:*", "user:4*")
	for _, who := range []Who{{User: "42", Claims: claims("scope=svc")}, {User: "42", Claims: claims("env=prod")},
		{User: "42", Claims: claims("scope=", "env=")}, {User: "42"},
		{User: "42", Claims: claims("scope=Svc", "env=prod")}} {
		f(OtherUser, who, "user:43")
		f(NotAllowed, who, "desk:2")
	}
	for _, who := range []Who{nobody, service} {
		want := map[bool]string{true: "prices", false: "prices trades desk:1"}[who.Anonymous]
		if names, _ := r.AutoJoin(who); strings.Join(names, " ") != want {
			t.Errorf("%+v joins %q", who, names)
		}
	}
	if none := testRules(t, func(*config.Config) {}); none.IsService(service) || none.IsService(Who{}) {
		t.Error("somebody is a service without a rule")
	}
}

// FuzzAllow: whoever may join a wildcard may join each room under it by name, and what one of the
// matching entries allows is allowed.
func FuzzAllow(f *testing.F) {
	f.Add("a", "ab", "abc", uint8(5), "a", "abd")
	f.Add("", "b", "bc", uint8(2), "", "bcx")
	f.Fuzz(func(t *testing.T, one, two, room string, has uint8, prefix, rest string) {
		for _, s := range []string{one, two, room, prefix, rest} {
			if strings.ContainsAny(s, "*{}") || len(s) > 20 {
				return
			}
		}
		allow := map[string]config.Conditions{"desk:" + one + "*": {"c": {"0"}}, "desk:" + two + "*": {"c": {"1"}},
			"desk:" + room: {"c": {"2"}}}
		r := testRules(t, func(cfg *config.Config) { cfg.Allow = allow })
		who := Who{User: "42", Claims: &auth.Claims{List: []auth.Claim{{Name: "c"}}}}
		for i, s := range []string{"0", "1", "2"} {
			if has>>i&1 == 1 {
				who.Claims.List[0].List = append(who.Claims.List[0].List, s)
			}
		}
		name := "desk:" + prefix + rest
		p, owner, ok := r.catalog.Resolve(name)
		if !ok {
			return
		}
		byName := r.Admits(who, p, owner, name)
		found, fulfilled := false, false
		for pattern, when := range allow {
			begin, star := strings.CutSuffix(pattern, "*")
			if pattern == name || star && strings.HasPrefix(name, begin) {
				found = true
				fulfilled = fulfilled || who.Claims.Has("c", when["c"][0])
			}
		}
		if want := !found || fulfilled; (byName == OK) != want {
			t.Errorf("%q of %v: %v, want %v", name, allow, byName, want)
		}
		under, _ := r.catalog.Under("desk:" + prefix)
		if under == p && r.AdmitsUnder(who, under, "desk:"+prefix) == OK && byName != OK {
			t.Errorf("%q leads into %q of %v", "desk:"+prefix+"*", name, allow)
		}
	})
}
