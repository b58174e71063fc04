package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"tapecast/server/jsontext"
)

// maxAnswer is the most bytes of an answer.
const maxAnswer = 64 << 10

// Answer is what the service says of a token that it accepts.
type Answer struct {
	User   string // not checked
	Claims []byte // an object in JSON; nil: it has none
	Issued int64  // when the token was issued, in seconds since 1970; 0: it does not say
	Known  bool   // the token was found good before it was asked about: the rest is empty
	// Until is when an answer must be asked for again that another node had. Zero: this one has asked.
	Until time.Time
}

// client returns a client that keeps few connections. Tokens never go to another host,
// nor over plain HTTP if the URL is https.
func client() *http.Client {
	var one http.Protocols
	one.SetHTTP1(true) // a call that hangs holds up no other
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: MaxWait}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    MaxWait,
			Protocols:              &one,
			MaxIdleConns:           MaxCalls / 4,
			MaxIdleConnsPerHost:    MaxCalls / 4,
			MaxConnsPerHost:        2 * MaxCalls, // those too that are still being dialled for a call that is over
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch first := via[0].URL; {
			case len(via) > 3:
				return errors.New("it redirects more than three times")
			case r.URL.Host != first.Host || r.URL.Scheme != first.Scheme:
				return errors.New("it redirects to " + r.URL.Scheme + "://" + r.URL.Host +
					", which must not see tokens")
			}
			return nil
		},
	}
}

// fetch asks about a token. The errors that are neither ErrRefused nor an oddError say what the
// operator can look for, and nothing of the token.
func (s *Service) fetch(ctx context.Context, token string) (Answer, error) {
	status, body, err := get(ctx, s.cfg.Client, s.cfg.URL, token)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Client.CloseIdleConnections() // which may lead nowhere
		}
		return Answer{}, err
	}
	switch status {
	case http.StatusOK:
		a, err := parse(body, &s.cfg)
		switch {
		case err != nil && token == "": // of nobody it says nothing
			err = oddError{err}
		case err != nil && s.everAnswered(): // the paths are right, so it may be this token
			s.senseless(err)
			err = oddError{err}
		}
		return a, err
	case http.StatusUnauthorized:
		return Answer{}, ErrRefused
	case http.StatusForbidden:
		return Answer{}, ErrForbidden
	}
	err = fmt.Errorf("it answers with status %d, not 200, 401 or 403", status)
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		if token != "" {
			s.senseless(err)
		}
		err = oddError{err}
	default:
		if token == "" && status/100 == 2 {
			err = oddError{err}
		}
	}
	return Answer{}, err
}

// get returns the service's status, and its body where that is 200. Without a token there is no
// Authorization.
func get(ctx context.Context, c *http.Client, from, token string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		var wrapped *url.Error // names the URL, which the caller does
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)) // all, so that the connection is used again
	switch {
	case resp.StatusCode != http.StatusOK:
		return resp.StatusCode, nil, nil
	case err != nil:
		return 0, nil, err
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("it answers with more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, body, nil
}

// Try asks the service about no token, as `check --connect` does: whatever its answer is, the error is
// nil if a service that checks tokens may give it.
func Try(ctx context.Context, from string) (status int, err error) {
	c := client()
	defer c.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, MaxWait)
	defer cancel()
	status, _, err = get(ctx, c, from, "")
	switch {
	case err != nil:
		return 0, err
	case status/100 == 2, status == http.StatusBadRequest, status == http.StatusUnauthorized,
		status == http.StatusForbidden:
		return status, nil
	}
	return status, fmt.Errorf("it answers with status %d, not 401, 403, 400 or 2xx", status)
}

// parse reads an answer of status 200.
func parse(body []byte, cfg *Config) (a Answer, err error) {
	user, claims := cfg.User, cfg.Claims
	if jsontext.TooDeep(body) {
		return a, fmt.Errorf("its answer nests deeper than %d levels", jsontext.MaxDepth)
	}
	var p fastjson.Parser
	v, err := p.ParseBytes(body)
	if err != nil || !jsontext.Valid(body) {
		return a, errors.New("its answer is not JSON")
	}
	if a.User, err = userAt(v, user); err != nil {
		return a, err
	}
	if claims != nil {
		o := v.Get(claims...)
		if o == nil || o.Type() != fastjson.TypeObject {
			return a, fmt.Errorf("its answer has no object at %s (auth.verify.claims)", strings.Join(claims, "."))
		}
		a.Claims = o.MarshalTo(nil)
	}
	if cfg.Issued != nil {
		a.Issued = timeAt(v.Get(cfg.Issued...))
	}
	return a, nil
}

// timeAt returns a time in seconds since 1970, rounded down: a number of them, or a text as in RFC 3339.
// What is neither is none: then a token may be of any age.
func timeAt(v *fastjson.Value) int64 {
	if v == nil {
		return 0
	}
	if v.Type() == fastjson.TypeNumber {
		if f := v.GetFloat64(); f > 0 && f <= maxTime {
			return int64(f)
		}
		return 0
	}
	at, err := time.Parse(time.RFC3339, string(v.GetStringBytes()))
	if err != nil || at.Unix() <= 0 {
		return 0
	}
	return at.Unix()
}

// maxTime is the end of the year 9999. What is later was meant as milliseconds.
const maxTime = 253402300799

func userAt(v *fastjson.Value, path []string) (string, error) {
	said := strings.Join(path, ".")
	id := v.Get(path...)
	if path == nil {
		said = "data.user.id or user.id"
		if id = v.Get("data", "user", "id"); id == nil {
			id = v.Get("user", "id")
		}
	}
	if id != nil {
		switch id.Type() {
		case fastjson.TypeString:
			return string(id.GetStringBytes()), nil
		case fastjson.TypeNumber:
			text := id.String()
			if _, err := strconv.ParseUint(text, 10, 64); err == nil {
				return text, nil
			}
		}
	}
	return "", fmt.Errorf("its answer has no string and no whole number at %s (auth.verify.user)", said)
}
