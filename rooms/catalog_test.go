package rooms

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	stream  = &Class{Name: "stream"}
	private = &Class{Name: "private", Owner: "{sub}", Lag: LagClose}
)

func TestResolve(t *testing.T) {
	c, err := NewCatalog([]*Pattern{
		{Match: "prices", Class: stream},
		{Match: "prices:*", Class: stream},
		{Match: "prices:BTC", Class: stream},
		{Match: "prices:B*", Class: stream},
		{Match: "orders:{owner}", Class: private},
		{Match: "news:{owner}", Class: stream}, // a public room may name one, too
	})
	if err != nil {
		t.Fatal(err)
	}
	f := func(room, match, owner string) {
		t.Helper()
		p, got, ok := c.Resolve(room)
		if !ok {
			if match != "" {
				t.Errorf("%q matches nothing, not %q", room, match)
			}
			return
		}
		if p.Match != match || got != owner {
			t.Errorf("%q matches %q with owner %q, not %q with %q", room, p.Match, got, match, owner)
		}
	}
	f("prices", "prices", "")
	f("prices:ETH", "prices:*", "ETH")
	f("prices:BTC", "prices:BTC", "") // a literal before a wildcard
	f("prices:BTCUSDT", "prices:B*", "TCUSDT")
	f("prices:B", "prices:*", "B") // a wildcard stands for a byte at least
	f("prices:", "", "")
	f("price", "", "")
	f("", "", "")
	f("Prices", "", "")
	f("orders:42", "orders:{owner}", "42")
	f("orders:4:2", "orders:{owner}", "4:2")
	f("orders:", "", "")
	f("orders", "", "")
	f("orders:{owner}", "", "") // no user has such a name
	f("orders:4 2", "", "")
	f("prices:B T C", "prices:B*", " T C")
	f("prices:a\nb", "", "")
	f("news:42", "news:{owner}", "42")
	f("prices:"+strings.Repeat("x", MaxName-7), "prices:*", strings.Repeat("x", MaxName-7))
	f("prices:"+strings.Repeat("x", MaxName-6), "", "")

	p := c.Patterns()
	if len(p) != 6 || !p[0].Literal() || p[1].Literal() || p[4].Literal() || p[4].Prefix() != "orders:" ||
		p[0].Prefix() != "prices" {
		t.Errorf("patterns are not as they were given: %v", p)
	}
}

func TestCatalogFaults(t *testing.T) {
	f := func(want string, patterns ...*Pattern) {
		t.Helper()
		_, err := NewCatalog(patterns)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", patterns[len(patterns)-1].Match, err, want)
		}
	}
	f("no class", &Pattern{Match: "a"})
	f("is empty", &Pattern{Class: stream})
	f("every name", &Pattern{Match: "*", Class: stream})
	f("every name", &Pattern{Match: "{owner}", Class: private})
	f("only one", &Pattern{Match: "a*b*", Class: stream})
	f("only one", &Pattern{Match: "a*b", Class: stream})
	f("only one", &Pattern{Match: "a{b", Class: stream})
	f("only one", &Pattern{Match: "{owner}*", Class: stream})
	f("only one", &Pattern{Match: "a*{owner}", Class: stream})
	f("longer than", &Pattern{Match: strings.Repeat("x", MaxName+1), Class: stream})
	f("end in {owner}", &Pattern{Match: "a:*", Class: private})
	f("end in {owner}", &Pattern{Match: "a", Class: private})
	f("line ends", &Pattern{Match: "a\n", Class: stream})
	f("line ends", &Pattern{Match: "a\xff:*", Class: stream})
	f("same names", &Pattern{Match: "a:*", Class: stream}, &Pattern{Match: "a:{owner}", Class: private})
	f("same names", &Pattern{Match: "a", Class: stream}, &Pattern{Match: "b", Class: stream},
		&Pattern{Match: "a", Class: stream})
}

// TestHolds: a name that no client can write, or no user own, is not a room's.
func TestHolds(t *testing.T) {
	public, own := &Pattern{Match: "p:*", Class: stream}, &Pattern{Match: "o:{owner}", Class: private}
	if _, err := NewCatalog([]*Pattern{public, own}); err != nil {
		t.Fatal(err)
	}
	f := func(name string, named, owned bool) {
		t.Helper()
		if got := public.Holds([]byte("p:" + name)); got != named {
			t.Errorf("public %q: %v", name, got)
		}
		if got := own.Holds([]byte("o:" + name)); got != owned || got != CanOwn(name) {
			t.Errorf("private %q: %v", name, got)
		}
	}
	f("", false, false)
	f("42", true, true)
	f("BTC/USDT.P-1_x", true, true)
	f("é日本😀", true, true)
	f("public:u1", true, true)
	f(`"42"`, true, false)
	f(`a\b`, true, false)
	f("{42}", true, false)
	f(" 42", true, false)
	f("4\u00a02", true, false)
	f("42\u200b", true, false)
	f("\ufeff42", true, false)
	f("a\ufffd", true, false)
	f("42\n", false, false)
	f("42\r", false, false)
	f("a\tb", false, false)
	f("a\x00", false, false)
	f("a\x7f", false, false)
	f("a\u0085b", false, false)
	f("a\u2028b", false, false)
	f("a*", false, false)
	f("*", false, false)
	f("\xfc", false, false)
	f("é\xff", false, false)
	f("\xed\xa0\x80", false, false) // half of a surrogate pair
	f(strings.Repeat("x", MaxOwner), true, true)
	f(strings.Repeat("x", MaxOwner+1), true, false)
	f(strings.Repeat("x", MaxName-2), true, false)
	f(strings.Repeat("x", MaxName-1), false, false)
}

func TestClassDefaults(t *testing.T) {
	zero, set := new(Class), &Class{RetainBytes: 5, RetainAge: time.Minute, Keep: true}
	if zero.retainBytes() != 8<<20 || zero.retainAge() != 10*time.Second || zero.keeps() || zero.Private() {
		t.Errorf("defaults are not as documented: %+v", zero)
	}
	if set.retainBytes() != 5 || set.retainAge() != time.Minute || !set.keeps() || set.Private() {
		t.Errorf("set fields are not used: %+v", set)
	}
	if !private.keeps() || !private.Private() {
		t.Error("a private class does not keep records")
	}
	p := Pattern{MaxRooms: 3}
	if p.maxRooms() != 3 || new(Pattern).maxRooms() != 1_000_000 {
		t.Error("MaxRooms is not as documented")
	}
}

func TestUnder(t *testing.T) {
	var patterns []*Pattern
	for _, m := range []string{"prices", "prices:*", "prices:x:*", "orders:{owner}", "trades"} {
		c := &Class{Name: "c"}
		if m == "orders:{owner}" {
			c.Owner = "{sub}"
		}
		patterns = append(patterns, &Pattern{Match: m, Class: c})
	}
	c, err := NewCatalog(patterns)
	if err != nil {
		t.Fatal(err)
	}
	f := func(prefix, want string, others ...string) {
		t.Helper()
		p, more := c.Under(prefix)
		got := ""
		if p != nil {
			got = p.Match
		}
		var list []string
		for _, q := range more {
			list = append(list, q.Match)
		}
		if got != want || !slices.Equal(list, others) {
			t.Errorf("%q is under %q besides %q, want %q and %q", prefix, got, list, want, others)
		}
	}
	f("prices:B", "prices:*")
	f("prices:", "prices:*", "prices:x:*")
	f("prices:x", "prices:*", "prices:x:*")
	f("prices:x:", "prices:x:*")
	f("prices:xy", "prices:*")
	f("prices", "", "prices:x:*", "prices:*")
	f("", "", "prices:x:*", "prices:*", "orders:{owner}")
	f("orders:4", "orders:{owner}")
	f("trades", "")
	f("trades:", "")
}
