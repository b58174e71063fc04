package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"tapecast/server/auth/shared"
)

// maxRedisTimeout is the most that auth.redis.timeout may be: the service is asked only then.
const maxRedisTimeout = time.Second

// checkRedis checks where nodes share what the service of auth.verify has said.
func (c *collector) checkRedis(a *Auth) {
	r := &a.Redis
	if d := r.Timeout; d < time.Millisecond || d > maxRedisTimeout {
		c.add("auth.redis.timeout", d.String()+" is not within 1ms and 1s", "write 100ms, or remove the line for that")
	}
	if r.Address == "" {
		return
	}
	if host, _, err := net.SplitHostPort(r.Address); err != nil || host == "" {
		c.add("auth.redis.address", "is not a host:port", "write one such as redis.internal:6379")
	}
	if a.Verify.URL == "" && !c.has("auth.verify.url") {
		c.add("auth.redis.address", "nothing is shared without auth.verify: a signature is checked sooner than Redis "+
			"is asked", "set auth.verify.url, or remove auth.redis")
	}
	switch n := len(r.Secret); {
	case n == 0 && !c.has("auth.redis.secret_file"):
		c.add("auth.redis.secret", "is not set, so that whoever can write to Redis could make entries",
			"put the same one on all nodes; make it with: openssl rand -base64 32")
	case n > 0 && n < shared.LeastSecret:
		c.add("auth.redis.secret", fmt.Sprintf("has %d bytes, which can be guessed", n),
			"make one of %d or more with: openssl rand -base64 32", shared.LeastSecret)
	case n > 0 && r.Secret == a.Secret:
		c.add("auth.redis.secret", "is auth.secret too, which those who sign tokens know",
			"make another one with: openssl rand -base64 32")
	}
	if r.User != "" && r.Password == "" && !c.has("auth.redis.password_file") {
		c.add("auth.redis.password", "is not set, and a user has one", "set auth.redis.password_file, or remove "+
			"auth.redis.user")
	}
	if r.CAFile != "" && !r.TLS {
		c.add("auth.redis.ca_file", "is of no use without TLS", "set auth.redis.tls, or remove the line")
	} else if _, err := r.tls(); err != nil {
		c.add("auth.redis.ca_file", err.Error(), "name a file with certificates in PEM")
	}
}

// open returns a warning if Redis' password can be read on the way.
func (r *Redis) open() string {
	host, _, err := net.SplitHostPort(r.Address)
	if err != nil || r.TLS || r.Password == "" || onThisMachine(host) {
		return ""
	}
	return "auth.redis: its password goes over the network in the clear; set auth.redis.tls"
}

func (r *Redis) tls() (*tls.Config, error) {
	if !r.TLS {
		return nil, nil
	}
	host, _, _ := net.SplitHostPort(r.Address) // was checked
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if r.CAFile == "" {
		return conf, nil
	}
	b, err := readFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %s", r.CAFile, reason(err))
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(bytes.TrimSpace(b)) {
		return nil, fmt.Errorf("%s holds no certificate", r.CAFile)
	}
	return conf, nil
}

// Shared returns what nodes share, and where. What the service says depends on whom they ask, and where
// in its answers they look.
func (a *Auth) Shared() (shared.Config, error) {
	r, v := &a.Redis, &a.Verify
	secure, err := r.tls()
	return shared.Config{Address: r.Address, User: r.User, Password: string(r.Password), Database: r.Database,
		TLS: secure, Timeout: r.Timeout, Secret: []byte(r.Secret), Skew: a.Leeway,
		Scope: strings.Join([]string{v.URL, v.User, v.Claims, v.Issued}, "\n")}, err
}
