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

// Port is a gateway's internal port, with its credentials.
type Port struct {
	URL   string      // http://HOST:PORT or https; pid:N: a process without one
	Token string      // for requests that write, and for pprof; "": none
	TLS   *tls.Config // for https; nil: the system's certificates
}

// Client returns an HTTP client for the port. Each of its requests ends within the given time.
func (a Port) Client(within time.Duration) *http.Client {
	c := &http.Client{Timeout: within} // it uses the connections that all share
	if a.TLS != nil {
		c.Transport = &http.Transport{TLSClientConfig: a.TLS, IdleConnTimeout: 10 * time.Second}
	}
	return c
}

// Authorize adds the token to a request.
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

// Refusal returns the error for an answer with which the port refuses a request.
func (a Port) Refusal(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status is enough without the body
	said := fmt.Sprintf("%s: %s", resp.Status, strings.TrimSpace(string(body)))
	if resp.StatusCode == http.StatusUnauthorized {
		return job.Inputf("the gateway's internal port wants another token: give --admin-token-file (%s)", said)
	}
	return job.Inputf("the gateway's internal port refuses: %s", said)
}
