package config

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tapecast/ingest"
)

func TestJWKSFaults(t *testing.T) {
	f := func(url string, want ...string) {
		t.Helper()
		faultsOf(t, "auth:\n  jwks_url: "+url, want...)
	}
	f("https://login.example.com/keys")
	f("http://127.0.0.1:8000/keys")
	f("http://localhost/keys")
	const path, do = "c.yaml:2: auth.jwks_url: ", "; write it as https://login.example.com/keys"
	f("login.example.com/keys", path+"is not a URL"+do)
	f("ftp://login.example.com/keys", path+"is not a URL"+do)
	f("http://login.example.com/keys",
		path+"is plain http, where anybody on the way could set keys of their own; use https")
	f("https://me:secret@login.example.com/", path+"holds a user or a password, which would be in logs; "+
		"remove it: the keys are public")
	faultsOf(t, "auth: {jwks_url: 'https://a.example', jwks_refresh: 10ms}",
		"c.yaml:1: auth.jwks_refresh: 10ms is too often; set 1s or more; 5m is the default")
}

func TestOriginFaults(t *testing.T) {
	f := func(origin string, good bool) {
		t.Helper()
		var want []string
		if !good {
			want = append(want, `c.yaml:1: auth.origins[0]: "`+origin+`" is not an origin; write it as a browser `+
				`sends it, in small letters: https://app.example.com or https://*.example.com`)
		}
		faultsOf(t, "auth: {origins: ['"+origin+"']}", want...)
	}
	for _, good := range []string{"https://app.example.com", "http://localhost:3000", "https://*.example.com"} {
		f(good, true)
	}
	for _, bad := range []string{"app.example.com", "https://app.example.com/", "https://App.example.com", "*", "null",
		"https://a.*.example.com", "https://example.com/path", "https://app.example.com:443"} {
		f(bad, false)
	}
}

// TestConnectJWKS: what check --connect says of the issuer's keys.
func TestConnectJWKS(t *testing.T) {
	body, status := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		{"kty":"oct","kid":"b","k":"AAAA"}]}`, http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	defer srv.Close()
	cfg := Default()
	cfg.Auth.JWKSURL = srv.URL
	f := func(faults int, want ...string) {
		t.Helper()
		var said []string
		n := cfg.Connect(context.Background(), func(line string) { said = append(said, line) })
		want = append(want, "nothing to connect to: without kafka.brokers an embedded broker is used")
		if n != faults || !slices.Equal(said, want) {
			t.Errorf("%d faults: %q, want %d and %q", n, said, faults, want)
		}
	}
	f(0, `warning: auth.jwks_url: not used: key 1 (kid "b"): it is a secret, which belongs into a file of its own `+
		`(secret_file)`, "ok: auth.jwks_url: 1 keys, for Ed25519, EdDSA")
	status = http.StatusForbidden
	f(1, "fault: auth.jwks_url: "+srv.URL+": it answers with status 403, not 200")
}

func TestUserPatternFaults(t *testing.T) {
	const path, do = "c.yaml:1: auth.user_pattern: ", "; write it in the syntax of RE2, such as [A-Za-z0-9_-]+"
	f := func(pattern string, want ...string) {
		t.Helper()
		faultsOf(t, "auth: {user_pattern: '"+pattern+"'}", want...)
	}
	f("[0-9]+")
	f("a|b")
	f("[0-9", path+"error parsing regexp: missing closing ]: `[0-9`"+do)
	f("a)|(b", path+"error parsing regexp: unexpected ): `a)|(b`"+do)
}

func TestRevocationsFaults(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		faultsOf(t, yaml, want...)
	}
	f("auth: {revocations: tapecast.revoked}")
	f("auth: {revocations: 'a b'}", `c.yaml:1: auth.revocations: "a b" is not a topic name; use letters, digits, `+
		`dots, dashes and underscores`)
	f("auth: {revocations: dead}\nkafka: {dead_letter: dead}", "c.yaml:1: auth.revocations: is kafka.dead_letter too, "+
		"and refused records are not revocations; name a topic of its own")
	f("auth: {revocations: events}\ningest: {routes: [{topic: events, rooms: [system_alerts]}]}",
		`c.yaml:1: auth.revocations: ingest.routes[0] reads "events" too, so that clients would be sent who is `+
			`revoked; `+
			`name a topic of its own`)
}

// TestRevocationsAsked: what check --connect asks of the topic.
func TestRevocationsAsked(t *testing.T) {
	cfg := Default()
	cfg.Auth.Revocations, cfg.Admin.Write = "revoked", true
	at := slices.IndexFunc(cfg.topicAsks(), func(a ingest.TopicAsk) bool { return a.Name == "revoked" })
	if at < 0 {
		t.Fatal("it is not asked for")
	}
	if a := cfg.topicAsks()[at]; !a.Reads || !a.Writes || !strings.Contains(a.Absent, "cleanup.policy=compact") ||
		!strings.Contains(a.Kept, "cleanup.policy=compact") {
		t.Errorf("%+v", a)
	}
}

func TestVerifyFaults(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		faultsOf(t, "auth:\n  verify: {"+text+"}", want...)
	}
	const at = "c.yaml:2: auth.verify."
	f("url: 'https://accounts.example.com/me', timeout: 2s, user: data.user.id, claims: data")
	f("url: 'http://127.0.0.1:1/'")
	f("url: accounts", at+"url: is not a URL; write it as https://accounts.example.com/me")
	f("url: 'http://accounts.example.com/'", at+"url: is plain http, where anybody on the way could take the tokens; "+
		"use https")
	f("url: 'https://a:b@c/'", at+"url: holds a user or a password, which would be in logs; remove it: the client's "+
		"token is what is asked about")
	f("timeout: 6s", at+"timeout: 6s is not within 100ms and 5s; write 5s, or remove the line for that")
	f("timeout: 1ms", at+"timeout: 1ms is not within 100ms and 5s; write 5s, or remove the line for that")
	f("user: a..b", at+`user: "a..b" is not a path; write names and dots, as data.user.id`)
	faultsOf(t, "auth: {max_session: 1ms}", "c.yaml:1: auth.max_session: 1ms is less than 1s; write more, or 0s for "+
		"no limit")
	f("claims: .", at+`claims: "." is not a path; write names and dots, as data.user.id`)
	const needs = "auth: {required_claims: {a: b}, verify: {url: 'https://a/'"
	faultsOf(t, needs+"}}", "c.yaml:1: auth.required_claims: without a key nothing says which claims a token has; set "+
		"auth.verify.claims to where they are in the service's answer")
	faultsOf(t, needs+", claims: is}}")
	faultsOf(t, "kafka: {brokers: ['a:1']}\nauth: {verify: {url: 'https://a/'}}\n"+routesOf("prices"))
	cfg := mustLoad(t, "auth: {audience: x, verify: {url: 'https://a/'}}")
	if got := cfg.Auth.unbound(); !strings.Contains(got, "issuer and audience are not checked") {
		t.Error(got)
	}
	if got := cfg.Summary(); !strings.HasSuffix(got, "auth.verify") {
		t.Error(got)
	}
}

// TestConnectVerify: what check --connect says of the service that checks tokens.
func TestConnectVerify(t *testing.T) {
	status := http.StatusUnauthorized
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	cfg := Default()
	cfg.Auth.Verify.URL = srv.URL
	f := func(with, faults int, want string) {
		t.Helper()
		status = with
		var said []string
		n := cfg.Connect(t.Context(), func(line string) { said = append(said, line) })
		if n != faults || said[0] != want {
			t.Errorf("%d faults: %q, want %d and %q", n, said, faults, want)
		}
	}
	f(401, 0, "ok: auth.verify.url: it answers with status 401 without a token")
	f(200, 0, "warning: auth.verify.url: it answers 200 without a token: does it check tokens at all?")
	f(500, 1, "fault: auth.verify.url: "+srv.URL+": it answers with status 500, not 401, 403, 400 or 2xx")
}
