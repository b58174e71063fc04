package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
)

// TestTrialIssuer: harm to the issuer whose keys clients' tokens are signed with (auth.jwks_url). It runs in
// full runs only, beside TestIssuerAway and TestIssuerRotates.
func TestTrialIssuer(t *testing.T) {
	onlyFull(t)
	p := publish(t)
	at := poison(t, "issuer", strings.TrimPrefix(p.url, "http://"))
	x := newTrialOn(t, ground{more: fmt.Sprintf("auth: {jwks_url: \"http://%s\", jwks_refresh: 1s}\n", at.addr()),
		token: func(user string) string { return p.token("ES256", user) }})
	a := &authTrial{trial: x, at: at, strange: func(n int) string { return p.token("RS256", fmt.Sprint("x", n)) },
		detail: "auth.jwks_url"}
	x.run(few(a.issuerFaults(p)))
}

// TestTrialAccounts: harm to the service that checks tokens (auth.verify). It runs in full runs only, beside
// TestVerifyService.
func TestTrialAccounts(t *testing.T) {
	onlyFull(t)
	s := newAccounts(t)
	at := poison(t, "accounts", s.addr)
	x := newTrialOn(t, ground{more: fmt.Sprintf("auth: {verify: {url: \"http://%s/me\", timeout: 2s}}\n", at.addr()),
		token: func(user string) string { return "user-" + user }})
	a := &authTrial{trial: x, at: at, strange: func(n int) string { return fmt.Sprint("user-x", n) },
		detail: "auth.verify"}
	x.run(few(a.accountsFaults(s)))
}

// authTrial is a trial in which tokens are checked with something behind a proxy.
type authTrial struct {
	*trial
	at      *toxic
	strange func(n int) string // a good token that was not seen before
	n       int
	detail  string // of /health, in case of harm
}

// harmed is a fault during which clients that are known come again, and others try to come. health says
// whether /health must be degraded.
func (a *authTrial) harmed(name string, health bool, harm, heal func()) fault {
	return fault{name, func(x *trial) {
		x.comeAgain() // so that they are known
		harm()
		x.struck = time.Now()
		strangers := make(chan string, 1)
		go func() { strangers <- a.strangers(12) }()
		if health {
			x.told(`"AuthService":{"status":"degraded","isRunning":true,"detail":"` + a.detail + `[^"]*`)
		}
		x.comeAgain()
		x.during(2 * time.Second)
		x.note("others meanwhile: %s", <-strangers)
		heal()
		a.recovers()
	}}
}

// poisoned is harmed, by the proxy.
func (a *authTrial) poisoned(name string, health bool, kind, stream, attributes string) fault {
	return a.harmed(name, health, func() { a.at.add(kind, stream, attributes) }, a.at.heal)
}

// strangers lets clients with tokens that are not known come, and returns how that went.
func (a *authTrial) strangers(n int) string {
	return a.inSlices(n, func() string { return a.stranger(5*time.Second + patience/4) })
}

func (a *authTrial) stranger(within time.Duration) string {
	a.mu.Lock()
	a.n++
	token := a.strange(a.n)
	a.mu.Unlock()
	began := time.Now()
	c, err := tryDial(a.t, a.node, dialing{query: "?token=" + token})
	if err != nil {
		return err.Error()
	}
	defer c.conn.Close()
	in := c.comesIn(within)
	if took := time.Since(began); scaled().full() && took > 5500*time.Millisecond {
		a.t.Errorf("a client waited for %s, the bar is 5 s", took)
	}
	return in
}

// comesIn waits until the client is let in, or closed.
func (c *client) comesIn(within time.Duration) string {
	how := "left waiting"
	if !testwait.Holds(within, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, n := range c.notices {
			if n.Method == "auto_subscribed" {
				how = "let in"
			}
		}
		if c.closed {
			how = fmt.Sprint("closed with ", c.code)
		}
		return c.closed || how == "let in"
	}) {
		c.t.Errorf("a client is neither let in nor closed within %s", within)
	}
	return how
}

// recovers waits until a client that is not known is let in.
func (a *authTrial) recovers() {
	a.t.Helper()
	healed := time.Now()
	eventually(a.t, patience, "a client that is not known comes in", func() bool {
		return a.stranger(patience) == "let in"
	})
	after := time.Since(healed)
	a.note("let in again after %.1f s", after.Seconds())
	if scaled().full() && after > 10*time.Second {
		a.t.Errorf("let in again after %s, the bar is 10 s", after)
	}
}

// comeAgain ends the connections of all survivors, and waits until all are back.
func (x *trial) comeAgain() {
	x.t.Helper()
	came := x.back()
	x.front.cut()
	x.front.open()
	eventually(x.t, patience, "all come again", func() bool { return x.back() >= came+len(x.all) })
}

func (a *authTrial) issuerFaults(p *published) []fault {
	answers := func(status int) func() { return func() { p.status.Store(int32(status)) } }
	lies := func(name, set string) fault {
		return a.harmed("issuer: "+name, true, func() { p.lie.Store(&set) }, func() { p.lie.Store(nil) })
	}
	return []fault{
		a.harmed("issuer: is away", true, a.at.cut, a.at.open),
		{"issuer: rotates ten times", func(x *trial) {
			for range 10 {
				p.rotate()
				x.comeAgain()
			}
			x.note("%d fetches so far", p.fetches.Load())
		}},
		a.poisoned("issuer: swallows requests", true, "timeout", "up", `"timeout":0`),
		a.poisoned("issuer: 3 s late", false, "latency", "down", `"latency":3000`),
		a.poisoned("issuer: one byte at a time", false, "slicer", "down",
			`"average_size":1,"size_variation":0,"delay":100`),
		a.poisoned("issuer: reset within the answer", true, "limit_data", "down", `"bytes":300`),
		a.harmed("issuer: answers 502", true, answers(http.StatusBadGateway), answers(0)),
		a.harmed("issuer: answers 404", true, answers(http.StatusNotFound), answers(0)),
		lies("lies: no keys", `{"keys":[]}`),
		lies("lies: not JSON", "<html>Sign in</html>"),
		lies("lies: 2 MB", `{"keys":[],"x":"`+strings.Repeat("x", 2<<20)+`"}`),
		lies("lies: 100,000 brackets", strings.Repeat("[", 100_000)),
		lies("lies: half a set", string(p.set()[:200])),
		{"issuer: lies: a secret as a key", func(x *trial) {
			set := `{"keys":[{"kty":"oct","kid":"o","alg":"HS256","k":"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY"}]}`
			p.lie.Store(&set)
			x.during(2 * time.Second)
			token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "s0", "exp": 9999999999})
			token.Header["kid"] = "o"
			forged, err := token.SignedString([]byte("abcdefghijklmnopqrstuvwxyz123456"))
			if err != nil {
				x.t.Fatal(err)
			}
			c := dial(x.t, x.node, dialing{query: "?token=" + forged})
			how := c.comesIn(patience)
			if how == "let in" {
				x.t.Error("a token that is signed with a published secret is good")
			}
			x.note("forged: %s", how)
			p.lie.Store(nil)
			a.recovers()
		}},
		{"issuer: lies: another's keys under the same names", func(x *trial) {
			other := newIssuer(x.t)
			other.n = p.n
			set := string(other.set())
			p.lie.Store(&set)
			x.during(3 * time.Second)
			x.note("meanwhile: %s", a.strangers(6))
			p.lie.Store(nil)
			a.recovers()
			x.comeAgain()
		}},
	}
}

func (a *authTrial) accountsFaults(s *accounts) []fault {
	late := func(d time.Duration) func() { return func() { s.late.Store(int64(d)) } }
	lies := func(name string, health bool, answer string) fault {
		return a.harmed("accounts: "+name, health, func() { s.lie.Store(&answer) }, func() { s.lie.Store(nil) })
	}
	return []fault{
		a.harmed("accounts: are away", true, a.at.cut, a.at.open),
		a.harmed("accounts: 1 s late", false, late(time.Second), late(0)),
		a.harmed("accounts: never answer", true, late(time.Hour), late(0)),
		a.harmed("accounts: every second call fails", false, func() { s.half.Store(true) },
			func() { s.half.Store(false) }),
		a.poisoned("accounts: swallow requests", true, "timeout", "up", `"timeout":0`),
		a.poisoned("accounts: one byte at a time", false, "slicer", "down",
			`"average_size":1,"size_variation":0,"delay":1000`),
		a.poisoned("accounts: reset within the answer", true, "limit_data", "down", `"bytes":30`),
		a.poisoned("accounts: reset at once", true, "reset_peer", "down", `"timeout":0`),
		lies("lie: no user", true, `{"data":{}}`),
		lies("lie: not JSON", true, "<html>Sign in</html>"),
		lies("lie: 10 MB", true, `{"data":{"user":{"id":"`+strings.Repeat("x", 10<<20)+`"}}}`),
		lies("lie: 10,000 brackets", true, strings.Repeat("[", 10_000)),
		lies("lie: an empty answer", true, ""),
		lies("lie: a user of control characters", false, `{"data":{"user":{"id":"s0\u0000\n"}}}`),
		lies("lie: a user that is a list", true, `{"data":{"user":{"id":["s0","s1"]}}}`),
	}
}
