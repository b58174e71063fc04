package shared

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "a secret of the gateways, 32 bytes"

func sealed(t testing.TB, secret, scope string) *sealer {
	t.Helper()
	s, err := newSealer([]byte(secret), scope)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSealed: an entry opens for its token, under its secret, as it was. Nothing of it can be read.
func TestSealed(t *testing.T) {
	s := sealed(t, secret, "a")
	until := time.UnixMilli(time.Now().UnixMilli())
	f := func(e Entry) {
		t.Helper()
		got, err := s.open("token", s.seal("token", e))
		if err != nil || got.User != e.User || !bytes.Equal(got.Claims, e.Claims) || !got.Until.Equal(until) ||
			(got.Claims == nil) != (e.Claims == nil) {
			t.Errorf("%+v came back as %+v, %v", e, got, err)
		}
	}
	f(Entry{"42", nil, until, 1700000000})
	f(Entry{"42", []byte(`{"role":"desk"}`), until, 0})
	f(Entry{"", []byte{}, until, 0})
	f(Entry{strings.Repeat("u", MaxEntry), nil, until, 0})

	b := s.seal("token", Entry{"user-42", []byte(`{"role":"desk"}`), until, 0})
	if bytes.Contains(b, []byte("user-42")) || bytes.Contains(b, []byte("desk")) ||
		strings.Contains(s.name("token"), "token\x00") || s.name("token") == s.name("token2") ||
		!strings.HasPrefix(s.name("token"), prefix) ||
		bytes.Equal(b, s.seal("token", Entry{"user-42", nil, until, 0})) {
		t.Errorf("%q: %q", s.name("token"), b)
	}
}

// TestForged: what was not sealed so is refused: for another token, under another secret or scope, with
// any bit changed, cut or made longer.
func TestForged(t *testing.T) {
	s := sealed(t, secret, "a")
	b := s.seal("token", Entry{"42", []byte("{}"), time.Now().Add(time.Minute), 0})
	f := func(what string, by *sealer, token string, b []byte) {
		t.Helper()
		if e, err := by.open(token, b); err != errForged {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	f("another token", s, "token2", b)
	f("another secret", sealed(t, secret+"x", "a"), "token", b)
	f("another scope", sealed(t, secret, "b"), "token", b)
	if other := sealed(t, secret, "b"); other.name("token") == s.name("token") {
		t.Error("it is found in another scope")
	}
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			f("a bit", s, "token", c)
		}
		f("cut", s, "token", b[:i])
	}
	f("longer", s, "token", append(bytes.Clone(b), 0))
	f("much longer", s, "token", make([]byte, 1<<20))
}

// TestVersions: nodes of two versions share nothing, and none of them takes the other's entries for forged.
func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(t)
		s, stop := node(t, r)
		defer stop()
		ready(t, s)
		next, err := sealerOf(version+1, []byte(secret), "a")
		if err != nil {
			t.Fatal(err)
		}
		r.set(next.name("t"), string(next.seal("t", Entry{User: "42", Until: time.Now().Add(time.Minute)})))
		if _, found := s.looks("t"); found || s.Stats().Misses != 1 || s.Stats().Forged != 0 {
			t.Errorf("%v, %+v", found, s.Stats())
		}
	})
}

// FuzzOpen: nothing that Redis holds opens, or breaks anything.
func FuzzOpen(f *testing.F) {
	s := sealed(f, secret, "")
	f.Add(s.seal("other", Entry{"42", []byte("{}"), time.UnixMilli(1e12), 0}))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := s.open("token", b); err == nil {
			t.Errorf("%x opens: %+v", b, e)
		}
	})
}
