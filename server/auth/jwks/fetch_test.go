package jwks

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFetch: real servers, which answer well and badly.
func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	answer := func(path, body string, status int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	answer("/good", setOf("a", "b"), 200)
	answer("/missing", "", 404)
	answer("/page", "<html>", 200)
	answer("/long", strings.Repeat(" ", maxSet+1), 200)
	answer("/none", `{"keys":[]}`, 200)
	mux.Handle("/plain", http.RedirectHandler("http://127.0.0.1:1/good", http.StatusFound))
	mux.Handle("/moved", http.RedirectHandler("/good", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	c := client()
	c.Transport = srv.Client().Transport
	f := func(from, want string) {
		t.Helper()
		keys, _, err := Fetch(t.Context(), c, from)
		got := fmt.Sprint(err)
		if err == nil && want != fmt.Sprint(len(keys)) || err != nil && !strings.Contains(got, want) {
			t.Errorf("%s: %d keys, %v, want %q", from, len(keys), err, want)
		}
	}
	f(srv.URL+"/good", "2")
	f(srv.URL+"/moved", "2")
	f(srv.URL+"/missing", "status 404, not 200")
	f(srv.URL+"/page", "not valid JSON")
	f(srv.URL+"/long", "more than 1048576 bytes")
	f(srv.URL+"/none", `has no "keys"`)
	f(srv.URL+"/plain", "it redirects to http, where anybody could change the keys")
	f(srv.URL+"/loop", "redirects more than three times")
	f("https://127.0.0.1:1/", "connection refused")
	_, _, err := Fetch(t.Context(), nil, srv.URL+"/good")
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with a certificate of its own: %v", err)
	}
}
