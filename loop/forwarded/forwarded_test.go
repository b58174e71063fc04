package forwarded

import (
	"net/netip"
	"strings"
	"testing"
)

var (
	proxies = netip.MustParsePrefix("10.0.0.0/8")
	sixes   = netip.MustParsePrefix("2001:db8:1::/48")
)

func trusted(a netip.Addr) bool { return proxies.Contains(a) || sixes.Contains(a) }

func shown(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestXForwardedFor(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		got, err := Client(XForwardedFor, value, trusted)
		if err != nil || shown(got) != want {
			t.Errorf("%q: %q, %v, want %q", value, shown(got), err, want)
		}
	}
	f("192.0.2.1", "192.0.2.1:0")
	f("192.0.2.1, 10.0.0.1", "192.0.2.1:0")
	f("192.0.2.1,10.0.0.1 ,\t10.0.0.2, ", "192.0.2.1:0")
	f("203.0.113.9, 192.0.2.1", "192.0.2.1:0") // the first is the client's own claim
	f("rubbish, 10.0.0.9, 192.0.2.1, 10.0.0.1", "192.0.2.1:0")
	f("192.0.2.1:5000", "192.0.2.1:5000")
	f("2001:db8::1", "[2001:db8::1]:0")
	f("[2001:db8::1]", "[2001:db8::1]:0")
	f("[2001:db8::1]:5000, 2001:db8:1::7", "[2001:db8::1]:5000")
	f("::ffff:192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1:0")
	f("", "")
	f(" , ", "")
	f("10.0.0.1, 10.0.0.2", "")
	f("203.0.113.9, unknown, 10.0.0.1", "")
	f(strings.Repeat("10.0.0.1,", maxProxies)+strings.Repeat(",", 5000), "")

	bad := func(value string) {
		t.Helper()
		if got, err := Client(XForwardedFor, value, trusted); err == nil || got.IsValid() {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	bad("rubbish")
	bad("192.0.2.1, x, 10.0.0.1")
	bad("192.0.2.1.")
	bad("192.0.2.1:70000")
	bad("fe80::1%eth0")
	bad("[192.0.2.1]")
	bad("192.0.2.1" + strings.Repeat(":_", 5000))
	bad(`"192.0.2.1"`)
	bad("192.0.2.1 10.0.0.1")
	bad("192.0.2.1" + strings.Repeat(", 10.0.0.1", maxProxies+1))
}

func TestForwarded(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		got, err := Client(Forwarded, value, trusted)
		if err != nil || shown(got) != want {
			t.Errorf("%q: %q, %v, want %q", value, shown(got), err, want)
		}
	}
	f("for=192.0.2.1", "192.0.2.1:0")
	f("FOR=192.0.2.1;proto=https;by=10.0.0.1, for=10.0.0.1", "192.0.2.1:0")
	f(`proto=https;for="[2001:db8::1]:5000" , for=10.0.0.1`, "[2001:db8::1]:5000")
	f("for=[2001:db8::1]:5000", "[2001:db8::1]:5000") // without the quotes that it should have
	f(`for="192.0.2.1:_hidden"`, "192.0.2.1:0")
	f(`for="\1\92.0.2.1"`, "192.0.2.1:0")
	f("for=203.0.113.9, for=192.0.2.1;host=\"a,b;for=203.0.113.7\"", "192.0.2.1:0")
	f("for=203.0.113.9, by=10.0.0.1", "") // a proxy that does not say for whom
	f("for=203.0.113.9, for=unknown, for=10.0.0.1", "")
	f("for=203.0.113.9, for=_gazonk, for=10.0.0.1", "")
	f("for=10.0.0.2, for=10.0.0.1", "")
	f(", for=192.0.2.1,,", "192.0.2.1:0")
	f("", "")

	bad := func(value string) {
		t.Helper()
		if got, err := Client(Forwarded, value, trusted); err == nil || got.IsValid() {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	bad("for=rubbish")
	bad("192.0.2.1")
	bad("for")
	bad("for=")
	bad("for =192.0.2.1")
	bad("for=192.0.2.1;for=203.0.113.9")
	bad(`for="192.0.2.1`)
	bad(`for="192.0.2.1\`)
	bad(`for="192.0.2.1"x`)
	// A quote that a client leaves open, before what proxies add.
	bad(`for=203.0.113.9;x=", for=192.0.2.1`)
	bad(`for=203.0.113.9;x=", for="[2001:db8::1]"`)
	bad(`for=203.0.113.9;x=", for=192.0.2.1;host=";for=203.0.113.7;a="`)
	bad(`for=203.0.113.9;x="\, for=192.0.2.1`)
}

// FuzzForwarded: whatever a client claims, what a proxy adds behind it counts, or the request is
// refused. What is found is never trusted.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"192.0.2.1, 10.0.0.1", "[2001:db8::1]:5000", "unknown", "for=192.0.2.1;proto=https, for=10.0.0.1",
		`for="[2001:db8::1]:5000";by="_x"`, `for=203.0.113.9;x="`, `x="\`, ",;=", "[:", "for=[:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, field := range []string{XForwardedFor, Forwarded} {
			got, err := Client(field, s, trusted)
			if got.IsValid() && (err != nil || trusted(got.Addr()) || got.Addr().Zone() != "") {
				t.Fatalf("%s %q: %v, %v", field, s, got, err)
			}
			for _, add := range []string{"203.0.113.99", `"[2001:db8:2::9]:77"`} {
				behind, want := s+", "+strings.Trim(add, `"`), strings.Trim(add, `"`)
				if field == Forwarded {
					behind = s + ", for=" + add + ";proto=https"
				}
				got, err := Client(field, behind, trusted)
				is := got.Addr().String() == "203.0.113.99" || got.String() == want
				if !is && (err == nil || field == XForwardedFor) {
					t.Fatalf("%s %q: %v, %v, want %s", field, behind, got, err, want)
				}
			}
		}
	})
}
