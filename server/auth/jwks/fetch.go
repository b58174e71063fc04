package jwks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sony/gobreaker/v2"

	"tapecast/server/auth/keyset"
)

// maxSet is the most bytes of a JWK Set. MaxKeys certificates with their chains fit.
const maxSet = 1 << 20

// client returns a client that holds one connection and never follows to plain HTTP.
func client() *http.Client {
	return &http.Client{
		Timeout: MaxWait - time.Second/2, // who waits for it is told why
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    3 * time.Second,
			MaxIdleConns:           1,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > 3:
				return errors.New("it redirects more than three times")
			case r.URL.Scheme != "https":
				return errors.New("it redirects to " + r.URL.Scheme + ", where anybody could change the keys")
			}
			return nil
		},
	}
}

// fetch fetches the set and hands it over. It runs on a goroutine of its own.
func (s *Source) fetch(ctx context.Context) (got result) {
	set, err := s.breaker.Execute(func() (f fetched, err error) {
		s.fetches.Add(1)
		s.mu.Lock()
		s.since = time.Now()
		s.mu.Unlock()
		if f.keys, f.unused, err = Fetch(ctx, s.cfg.Client, s.cfg.URL); err != nil && ctx.Err() == nil {
			s.failed.Add(1)
			s.cfg.Log.Warn("the issuer's keys cannot be fetched: those that are known stay",
				"url", s.cfg.URL, "error", err)
		}
		return f, err
	})
	if got.err = err; err == nil {
		got.news = s.cfg.Took(set.keys, set.unused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
	switch {
	case err == nil:
		s.why, s.took = nil, time.Now()
	case !errors.Is(err, gobreaker.ErrOpenState): // which does not say why fetches fail
		s.why = err
	}
	return got
}

// Fetch gets a JWK Set. unused says of each key that cannot check tokens why. The error says what
// the operator can look for.
func Fetch(ctx context.Context, c *http.Client, from string) (keys []keyset.Key, unused []string, err error) {
	if c == nil {
		c = client()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := c.Do(r)
	if err != nil {
		var wrapped *url.Error // names the URL, which the caller does
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("it answers with status %d, not 200", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return nil, nil, err
	}
	if len(b) > maxSet {
		return nil, nil, fmt.Errorf("it answers with more than %d bytes", maxSet)
	}
	return keyset.ParseSet(b)
}
