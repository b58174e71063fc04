package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// adminPort is a gateway's internal port, and how to be let in.
type adminPort struct {
	url   string      // http://HOST:PORT or https; pid:N: a process without one
	token string      // for what writes and for pprof; "": none
	tls   *tls.Config // for https; nil: the system's certificates
}

// adminOf is the internal port of a target whose public port is at host.
func (t *Target) adminOf(host string) (adminPort, error) {
	a := adminPort{url: strings.TrimSuffix(t.Admin, "/"), token: t.AdminToken}
	if a.url == "" {
		a.url = "http://" + net.JoinHostPort(host, "8081")
	}
	ca, flag := t.AdminCA, "--admin-ca"
	if ca == "" {
		ca, flag = t.CA, "--ca"
	}
	if ca == "" || !strings.HasPrefix(a.url, "https:") {
		return a, nil
	}
	pool, err := certPool(flag, ca)
	a.tls = &tls.Config{RootCAs: pool}
	return a, err
}

func (a adminPort) client(within time.Duration) *http.Client {
	c := &http.Client{Timeout: within} // on the connections that all share
	if a.tls != nil {
		c.Transport = &http.Transport{TLSClientConfig: a.tls, IdleConnTimeout: 10 * time.Second}
	}
	return c
}

// authorize shows the token.
func (a adminPort) authorize(h http.Header) {
	if a.token != "" {
		h.Set("Authorization", "Bearer "+a.token)
	}
}

// dial connects, for a request that net/http does not write.
func (a adminPort) dial(ctx context.Context) (net.Conn, *url.URL, error) {
	u, err := url.Parse(a.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil, inputf("--admin %q is neither an http:// nor an https:// address", a.url)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: a.tls}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return nil, nil, inputf("cannot connect to the gateway's internal port %s: %s (give it with --admin)",
			host, rootOf(err))
	}
	return conn, u, nil
}

// refusal is what the internal port answers where it does not what it was asked for.
func (a adminPort) refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough without it
	said := fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	if resp.StatusCode == http.StatusUnauthorized {
		return inputf("the gateway's internal port wants another token: give --admin-token-file (%s)", said)
	}
	return inputf("the gateway's internal port refuses: %s", said)
}
