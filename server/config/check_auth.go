package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// warnings returns what is odd about the keys, and about which tokens are accepted.
func (a *Auth) warnings() []string {
	var out []string
	for path, k := range a.allKeys() {
		switch s := strings.TrimSpace(string(k.Secret)); {
		case strings.HasPrefix(s, "-----BEGIN "):
			out = append(out, path+": the HS256 key is in PEM form: anybody with a public key or a certificate could "+
				"make tokens with it; set auth.public_key for it, or make a secret with: openssl rand -base64 32")
		case s != "" && strings.Trim(s, s[:1]) == "":
			out = append(out, path+": all bytes of the HS256 key are the same, so that it is guessed at once; "+
				"make one with: openssl rand -base64 32")
		}
	}
	if _, unused, err := a.ReadKeys(); err == nil {
		out = append(out, unused...)
	}
	if w := a.Redis.open(); w != "" {
		out = append(out, w)
	}
	if most := 5 * time.Minute; a.Leeway > most {
		out = append(out, fmt.Sprintf("auth.leeway: a token is good for %s after its exp; it is for clocks that "+
			"differ: "+
			"set seconds, %s at most", a.Leeway, most))
	}
	return out
}

// unbound returns a warning if a token's iss or aud may be anything.
func (a *Auth) unbound() string {
	const do = " that the same key signed for another service is good here too; set "
	switch {
	case !a.signed() && a.Verify.URL == "" && a.Certificate.On():
		return "" // there are no tokens
	case !a.signed() && a.Verify.URL != "":
		if a.Issuer != "" || a.Audience != "" {
			return "auth: without a key, issuer and audience are not checked: auth.verify alone decides; set a key, " +
				"such as auth.jwks_url"
		}
		return ""
	case a.Issuer == "" && a.Audience == "":
		return "auth: neither issuer nor audience is set, so that a token" + do + "auth.audience or auth.issuer"
	case a.Audience == "":
		return "auth.audience: is not set, so that a token" + do + "it to what aud holds in those for this one"
	case a.Issuer == "":
		return "auth.issuer: is not set, so that a token of any issuer that has the key is good; set it to their iss"
	}
	return ""
}

// openFiles warns of secrets in files that every user of this machine may read.
func (cfg *Config) openFiles() []string {
	var out []string
	type held struct{ key, file string }
	files := []held{
		{"admin.token_file", cfg.Admin.TokenFile},
		{"auth.secret_file", cfg.Auth.SecretFile}, {"auth.secret", cfg.Auth.heldIn},
		{"server.tls.key_file", cfg.Server.TLS.KeyFile}, {"admin.tls.key_file", cfg.Admin.TLS.KeyFile},
		{"kafka.sasl_password_file", cfg.Kafka.SASLPasswordFile},
		{"auth.redis.secret_file", cfg.Auth.Redis.SecretFile},
		{"auth.redis.password_file", cfg.Auth.Redis.PasswordFile},
	}
	for i := range cfg.Auth.Keys {
		files = append(files, held{index("auth.keys", i) + ".secret_file", cfg.Auth.Keys[i].SecretFile})
	}
	for _, f := range files {
		if info, err := os.Stat(f.file); err == nil && info.Mode().Perm()&0o007 != 0 {
			out = append(out, fmt.Sprintf("%s: every user of this machine may open %s (mode %04o); "+
				"chmod 600 it", f.key, f.file, info.Mode().Perm()))
		}
	}
	return out
}

// checkJWKS checks where the issuer publishes its keys.
func (c *collector) checkJWKS(a *Auth) {
	const path = "auth.jwks_url"
	if a.JWKSRefresh < time.Second {
		c.add("auth.jwks_refresh", fmt.Sprintf("%s is too often", a.JWKSRefresh), "set 1s or more; 5m is the default")
	}
	if a.JWKSURL == "" {
		return
	}
	c.checkURL(path, a.JWKSURL, "https://login.example.com/keys", "remove it: the keys are public",
		"anybody on the way could set keys of their own")
}

// checkURL checks a URL that must be https but for this machine. noUser is what to do about a user in
// it, and plain what can happen over http.
func (c *collector) checkURL(path, text, example, noUser, plain string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.add(path, "is not a URL", "write it as %s", example)
	case u.User != nil:
		c.add(path, "holds a user or a password, which would be in logs", "%s", noUser)
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		c.add(path, "is plain http, where "+plain, "use https")
	}
}

// MaxVerifyTimeout is the most that auth.verify.timeout may be: no client waits longer.
const MaxVerifyTimeout = 5 * time.Second

// checkVerify checks whom to ask about tokens, and how long connections last.
func (c *collector) checkVerify(a *Auth) {
	v := &a.Verify
	if d := a.MaxSession; d != 0 && d < time.Second {
		c.add("auth.max_session", d.String()+" is less than 1s", "write more, or 0s for no limit")
	}
	if d := v.Timeout; d < 100*time.Millisecond || d > MaxVerifyTimeout {
		c.add("auth.verify.timeout", d.String()+" is not within 100ms and 5s", "write 5s, or remove the line for that")
	}
	for _, p := range []struct{ key, path string }{{"user", v.User}, {"claims", v.Claims}, {"issued", v.Issued}} {
		if p.path != "" && slices.Contains(strings.Split(p.path, "."), "") {
			c.add("auth.verify."+p.key, fmt.Sprintf("%q is not a path", p.path),
				"write names and dots, as data.user.id")
		}
	}
	if v.URL == "" {
		return
	}
	c.checkURL("auth.verify.url", v.URL, "https://accounts.example.com/me",
		"remove it: the client's token is what is asked about", "anybody on the way could take the tokens")
	if len(a.RequiredClaims) > 0 && !a.signed() && v.Claims == "" {
		c.add("auth.required_claims", "without a key nothing says which claims a token has",
			"set auth.verify.claims to where they are in the service's answer")
	}
}

// signed reports whether some key is set that tokens must be signed with.
func (a *Auth) signed() bool {
	return a.Secret != "" || a.PublicKey != "" || len(a.Keys) > 0 || a.JWKSURL != ""
}

// Users returns UserPattern, for all of an id; nil: any id is accepted.
func (a *Auth) Users() (*regexp.Regexp, error) {
	if a.UserPattern == "" {
		return nil, nil
	}
	// By itself first: "a)|(b" becomes valid within parentheses.
	if _, err := regexp.Compile(a.UserPattern); err != nil {
		return nil, fmt.Errorf("auth.user_pattern is not a regular expression: %w", err)
	}
	return regexp.Compile(`^(?:` + a.UserPattern + `)$`)
}

// checkUsers checks what a user's id must match.
func (c *collector) checkUsers(a *Auth) {
	if _, err := a.Users(); err != nil {
		why := err
		if bad, ok := errors.AsType[*syntax.Error](err); ok {
			why = bad
		}
		c.add("auth.user_pattern", why.Error(), "write it in the syntax of RE2, such as [A-Za-z0-9_-]+")
	}
}

// checkRevocations checks the topic of revocations.
func (c *collector) checkRevocations(cfg *Config) {
	c.checkOwnTopic(cfg, "auth.revocations", cfg.Auth.Revocations, "who is revoked", "revocations")
}

// checkOwnTopic checks a topic that the gateway itself reads. What else goes there would be taken for what
// it expects. secret is what clients must not be sent.
func (c *collector) checkOwnTopic(cfg *Config, path, name, secret, expects string) {
	reads := func(r Route) bool { return r.Topic == name }
	switch at := slices.IndexFunc(cfg.Ingest.Routes, reads); {
	case name == "":
	case !topicName.MatchString(name):
		c.add(path, fmt.Sprintf("%q is not a topic name", name), "use letters, digits, dots, dashes and underscores")
	case at >= 0:
		c.add(path, fmt.Sprintf("%s reads %q too, so that clients would be sent %s",
			index("ingest.routes", at), name, secret), "name a topic of its own")
	case name == cfg.Kafka.DeadLetter:
		c.add(path, "is kafka.dead_letter too, and refused records are not "+expects, "name a topic of its own")
	}
}

// onThisMachine reports whether a host is this machine, by its name alone.
func onThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// checkOrigins checks the pages that may connect.
func (c *collector) checkOrigins(a *Auth) {
	for i, o := range a.Origins {
		u, err := url.Parse(strings.Replace(o, "://*.", "://", 1))
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != u.String() || o != strings.ToLower(o) ||
			strings.Contains(u.Host, "*") || u.Port() == map[string]string{"https": "443", "http": "80"}[u.Scheme] &&
			u.Port() != "" {
			c.add(index("auth.origins", i), fmt.Sprintf("%q is not an origin", o),
				"write it as a browser sends it, in small letters: https://app.example.com or https://*.example.com")
		}
	}
}
