package verify

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFetch: real servers, which answer well and badly.
func TestFetch(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	mux := http.NewServeMux()
	answer := func(path, body string, status int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer t" {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	answer("/good", `{"user":{"id":"42"},"is":{"role":"desk"}}`, 200)
	answer("/401", "", 401)
	answer("/403", "", 403)
	answer("/400", "", 400)
	answer("/431", "", 431)
	answer("/404", "", 404)
	answer("/429", "", 429)
	answer("/204", "", 204)
	answer("/503", "", 503)
	answer("/page", "<html>", 200)
	answer("/long", strings.Repeat(" ", maxAnswer+1), 200)
	mux.Handle("/moved", http.RedirectHandler("/good", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler(other.URL+"/good", http.StatusFound))
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	c := client()
	c.Transport = srv.Client().Transport
	f := func(path, want string, odd bool) {
		t.Helper()
		s := &Service{cfg: Config{URL: srv.URL + path, Client: c, Claims: []string{"is"}}}
		a, err := s.fetch(t.Context(), "t")
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(a.User, " ", string(a.Claims))
		}
		_, isOdd := errors.AsType[oddError](err)
		if !strings.Contains(got, want) || isOdd != odd || strings.Contains(got, "Bearer") {
			t.Errorf("%s: %s, odd %v, want %s, %v", path, got, isOdd, want, odd)
		}
	}
	f("/good", `42 {"role":"desk"}`, false)
	f("/moved", `42 {"role":"desk"}`, false)
	f("/401", ErrRefused.Error(), false)
	f("/403", ErrForbidden.Error(), false)
	f("/400", "status 400, not 200", true)
	f("/431", "status 431, not 200", true)
	f("/404", "status 404, not 200", false)
	f("/429", "status 429, not 200", false)
	f("/204", "status 204, not 200", false)
	f("/503", "status 503, not 200", false)
	f("/page", "not JSON", false)
	f("/long", "more than 65536 bytes", false)
	f("/loop", "redirects more than three times", false)
	f("/away", "which must not see tokens", false)
}

// TestTry: a service is there if it answers, whatever it says of the token.
func TestTry(t *testing.T) {
	try := func(path string, good bool) {
		t.Helper()
		if status, err := Try(t.Context(), path); (err == nil) != good {
			t.Errorf("%s: %d, %v", path, status, err)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Authorization"] != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	}))
	defer plain.Close()
	for status, good := range map[string]bool{"200": true, "204": true, "400": true, "401": true, "403": true,
		"404": false, "500": false, "302": false} {
		try(plain.URL+"/"+status, good)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	try(secure.URL+"/401", false) // its certificate is its own
	try("http://127.0.0.1:1/", false)
}

func TestParse(t *testing.T) {
	f := func(body, user, claims, want string) {
		t.Helper()
		path := func(s string) []string {
			if s == "" {
				return nil
			}
			return strings.Split(s, ".")
		}
		a, err := parse([]byte(body), &Config{User: path(user), Claims: path(claims)})
		got := fmt.Sprint(err)
		if err == nil {
			got = a.User + string(a.Claims)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	f(`{"data":{"user":{"id":"a"}},"user":{"id":"b"}}`, "", "", "a")
	f(`{"data":{"user":{}},"user":{"id":"b"}}`, "", "", "b")
	f(`{"user":{"id":9007199254740993}}`, "", "", "9007199254740993")
	f(`{"id":0}`, "id", "", "0")
	f(`{"a":{"b":[{"c":"x"}]}}`, "a.b.0.c", "a", `x{"b":[{"c":"x"}]}`)
	const lacks = "its answer has no string and no whole number at "
	f(`{"id":1.5}`, "id", "", lacks+"id (auth.verify.user)")
	f(`{"id":1e3}`, "id", "", lacks+"id (auth.verify.user)")
	f(`{"id":-1}`, "id", "", lacks+"id (auth.verify.user)")
	f(`{"id":true}`, "id", "", lacks+"id (auth.verify.user)")
	f(`{}`, "", "", lacks+"data.user.id or user.id (auth.verify.user)")
	f(`[]`, "a.b", "", lacks+"a.b (auth.verify.user)")
	f(`{"id":"a","c":[]}`, "id", "c", "its answer has no object at c (auth.verify.claims)")
	f(`{"id":"a"}`, "id", "c.d", "its answer has no object at c.d (auth.verify.claims)")
	f(``, "", "", "its answer is not JSON")
	f("{\"id\":\"a\",\"b\":\"\\n\x00\"}", "id", "", "its answer is not JSON")
	f(`{"id":"a","b":nan}`, "id", "", "its answer is not JSON")
	f("{\"id\":\"\xff\"}", "id", "", "its answer is not JSON")
	f(strings.Repeat("[", 40), "", "", "its answer nests deeper than 32 levels")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"data":{"user":{"id":"a"}}}`))
	f.Add([]byte(`{"user":{"id":12}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(body, &Config{Claims: []string{"user"}, Issued: []string{"user", "at"}})
		if err == nil && a.Claims == nil {
			t.Errorf("%q gives %+v", body, a)
		}
	})
}
