package auth

import (
	"encoding/json"
	"fmt"
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
