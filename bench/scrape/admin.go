package scrape

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

	"tapecast/bench/job"
)

// Port is a gateway's internal port, and how to be let in.
type Port struct {
	URL   string      // http://HOST:PORT or https; pid:N: a process without one
	Token string      // for what writes and for pprof; "": none
	TLS   *tls.Config // for https; nil: the system's certificates
}

// Client returns an HTTP client for the port, each request of which ends within the time given.
func (a Port) Client(within time.Duration) *http.Client {
	c := &http.Client{Timeout: within} // on the connections that all share
	if a.TLS != nil {
		c.Transport = &http.Transport{TLSClientConfig: a.TLS, IdleConnTimeout: 10 * time.Second}
	}
	return c
}

// Authorize shows the token.
func (a Port) Authorize(h http.Header) {
	if a.Token != "" {
		h.Set("Authorization", "Bearer "+a.Token)
	}
}

// Dial connects, for a request that net/http does not write.
func (a Port) Dial(ctx context.Context) (net.Conn, *url.URL, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil, job.Inputf("--admin %q is neither an http:// nor an https:// address", a.URL)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: a.TLS}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return nil, nil, job.Inputf("cannot connect to the gateway's internal port %s: %s (give it with --admin)",
			host, job.RootOf(err))
	}
	return conn, u, nil
}

// Refusal is what the internal port answers where it does not what it was asked for.
func (a Port) Refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough without it
	said := fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	if resp.StatusCode == http.StatusUnauthorized {
		return job.Inputf("the gateway's internal port wants another token: give --admin-token-file (%s)", said)
	}
	return job.Inputf("the gateway's internal port refuses: %s", said)
}
