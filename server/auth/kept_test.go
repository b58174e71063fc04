package auth

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/config"
)

// TestKeptClaims: an identity has the claims that rules name, and no others.
func TestKeptClaims(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(c jwt.MapClaims) (Identity, error) {
		t.Helper()
		c["sub"], c["exp"] = "42", time.Now().Add(time.Hour).Unix()
		return a.ParseToken(sign(t, jwt.SigningMethodHS256, []byte(testSecret), c))
	}
	if id, err := parse(jwt.MapClaims{"role": "desk"}); err != nil || id.Claims != nil {
		t.Errorf("without rules: %+v, %v", id, err)
	}
	a.Keep("role", "accounts")
	a.Keep("level", "role")
	f := func(want string, c jwt.MapClaims) {
		t.Helper()
		id, err := parse(c)
		text, _ := json.Marshal(id.Claims)
		var back *Claims
		if err != nil || json.Unmarshal(text, &back) != nil || !back.Equal(id.Claims) {
			t.Errorf("%v: %v, %s", c, err, text)
		}
		got := ""
		for _, name := range []string{"role", "accounts", "level", "other"} {
			got += fmt.Sprintf("%s %q %q; ", name, id.Claims.Value(name), id.Claims.Values(name))
		}
		if got = strings.NewReplacer(` "" []; `, "; ").Replace(got); got != want {
			t.Errorf("%v:\n got %s\nwant %s", c, got, want)
		}
	}
	f(`role; accounts; level; other; `, jwt.MapClaims{"Role": "desk", "other": "x", "role": nil})
	f(`role "desk" ["desk"]; accounts "" ["A1" "2" "true"]; level "3" ["3"]; other; `, jwt.MapClaims{"role": "desk",
		"other": 1, "level": 3,
		"accounts": []any{"A1", 2, "A1", "", true, nil, []string{"x"}, map[string]any{"y": "z"}}})
	f(`role " a  b " ["a" "b"]; accounts; level "true" ["true"]; other; `, jwt.MapClaims{"role": " a  b ",
		"accounts": map[string]any{"A1": true}, "level": true})

	list := make([]string, maxClaimValues)
	for i := range list {
		list[i] = fmt.Sprint("a", i)
	}
	if id, err := parse(jwt.MapClaims{"accounts": list}); err != nil || len(id.Claims.Values("accounts")) != len(list) {
		t.Errorf("%d values: %v", len(list), err)
	}
	for name, value := range map[string]any{"accounts": append(list, "x"), "role": strings.Repeat("a ", len(list)+1),
		"level": strings.Repeat("x", maxClaimBytes+1)} {
		_, err := parse(jwt.MapClaims{name: value})
		if err == nil || !strings.Contains(err.Error(), `claim "`+name+`"`) || !IsSigned(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parse(jwt.MapClaims{"other": append(list, "x")}); err != nil {
		t.Errorf("a claim that no rule names: %v", err)
	}
}

// TestKeepBound: names may be added while tokens are checked; tokens that were good are looked at again.
// There is a bound, and a name that is known is not counted again. One that no rule has any more is forgotten.
func TestKeepBound(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "42", "x": "yes",
		"exp": time.Now().Add(time.Hour).Unix()})
	looked := func() *Claims {
		t.Helper()
		id, err := a.ParseToken(token)
		if err != nil {
			t.Fatal(err)
		}
		if turn := a.keeps.Load().turn; id.Looked != turn {
			t.Errorf("looked at in turn %d, not %d", id.Looked, turn)
		}
		return id.Claims
	}
	if n, err := a.Keep("role"); n != 1 || err != nil || looked() != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := a.Keep("x", "role"); n != 2 || err != nil || looked().Value("x") != "yes" {
		t.Errorf("%d, %v, %v", n, err, looked())
	}
	if n, err := a.Keep("role"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var many []string
	for i := range maxKeeps - 1 {
		many = append(many, strconv.Itoa(i))
	}
	if _, err := a.Keep(many...); err == nil || looked().Value("x") != "yes" {
		t.Error("more names than there may be are taken")
	}
	a.KeepOnly("role")
	if looked() != nil {
		t.Error("a claim is kept that no rule names")
	}
	if n, err := a.Keep(many...); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	a.KeepOnly()
	if n, err := a.Keep("x"); n != 4 || err != nil || looked().Value("x") != "yes" {
		t.Errorf("again: %d, %v", n, err)
	}
	a.keeps.Store(&keeps{turn: maxTurns})
	if _, err := a.Keep("y"); err == nil {
		t.Error("there are more turns than Looked can count")
	}
}

// TestKeptTooLarge: a claim that no rule names any more refuses no token for its size.
func TestKeptTooLarge(t *testing.T) {
	a, err := New(&config.Auth{Secret: testSecret}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "42",
		"large": strings.Repeat("x", maxClaimBytes+1), "exp": time.Now().Add(time.Hour).Unix()})
	a.Keep("role", "large")
	if _, err := a.ParseToken(token); err == nil {
		t.Error("it is not too large")
	}
	a.KeepOnly("role")
	if id, err := a.ParseToken(token); err != nil || id.User != "42" {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestNestedClaims: a rule may name a claim by a path. A claim of the whole name comes first, and names in
// the path may hold dots.
func TestNestedClaims(t *testing.T) {
	f := func(path, claims, want string) {
		t.Helper()
		a, err := New(&config.Auth{Secret: testSecret, RequiredClaims: map[string]string{path: ""}}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		a.Keep(path)
		token := jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
		if err := json.Unmarshal([]byte(claims), &token); err != nil {
			t.Fatal(err)
		}
		id, err := a.ParseToken(sign(t, jwt.SigningMethodHS256, []byte(testSecret), token))
		got := strings.Join(id.Claims.Values(path), " ")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s of %s: %q, %v, want %q", path, claims, got, err, want)
		}
	}
	f("realm_access.roles", `{"realm_access":{"roles":["desk","x"]}}`, "desk x")
	f("realm_access.roles", `{"realm_access":{"roles":"a b"},"realm_access.roles":"c"}`, "c")
	f("realm_access.roles", `{"realm_access":{"roles":"a b"},"realm_access.roles":null}`, "")
	f("realm_access.roles", `{"realm_access":{"Roles":["desk"]}}`, "")
	f("realm_access.roles", `{"realm_access":["roles"]}`, "")
	f("realm_access.roles", `{"realm_access":{"roles":null}}`, "")
	f("resource_access.my.app.roles", `{"resource_access":{"my.app":{"roles":["a"]},"my":{"app":{"roles":["b"]}}}}`,
		"a")
	f("resource_access.my.app.roles", `{"resource_access":{"my":{"app":{"roles":["b"]}}}}`, "b")
	f("https://example.com/app.roles", `{"https://example.com/app":{"roles":[1,true]}}`, "1 true")
	f("https://example.com/roles", `{"https://example.com/roles":["a"]}`, "a")
	f("https://example.com/roles", `{"https://example":{"com/roles":["a"]}}`, "a")
	f("a.b.c.d.e.f.g.h", `{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":"x"}}}}}}}}`, "x")
	f("a.b.c.d.e.f.g.h.i.j", `{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":"x"}}}}}}}}}}`, "")
	f(".a", `{"":{"a":"x"}}`, "")
	f("a.b", `{"a":{"b":"x","c":{"b":1}}}`, "x")
	f("a.", `{"a":{"":"x"}}`, "x")
}

// FuzzNestedClaims: a path leads to what a reference finds, and to nothing where a name stands twice.
func FuzzNestedClaims(f *testing.F) {
	f.Add(`{"realm_access":{"roles":["desk"]}}`, "realm_access.roles")
	f.Add(`{"a":{"b.c":{"d":1},"b":{"c":{"d":2}}}}`, "a.b.c.d")
	f.Add(`{"a":{"b":1,"b":2}}`, "a.b")
	f.Add(`{"https://example.com/roles":["a"]}`, "https://example.com/roles")
	f.Fuzz(func(t *testing.T, text, path string) {
		var ref map[string]any
		if len(text) > 4096 || json.Unmarshal([]byte(text), &ref) != nil || ref == nil {
			return
		}
		c := &claims{keeps: []string{path}}
		if c.UnmarshalJSON([]byte(text)) != nil {
			return // a name twice, or a registered claim of another type
		}
		if want := found(ref, path, maxPath); len(c.kept) > 0 && want == nil {
			t.Errorf("%q of %s: %+v, and there is none", path, text, c.kept)
		}
	})
}

// found is nested, by another parser.
func found(o map[string]any, path string, most int) any {
	if v, ok := o[path]; ok || most == 0 {
		return v
	}
	for end := len(path) - 1; end > 0; end-- {
		if v, ok := o[path[:end]]; ok && path[end] == '.' {
			under, _ := v.(map[string]any)
			return found(under, path[end+1:], most-1)
		}
	}
	return nil
}
