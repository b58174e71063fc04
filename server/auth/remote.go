package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/auth/verify"
	"tapecast/server/config"
	"tapecast/server/jsontext"
)

// A service that checks tokens (auth.verify) has the last word on each. Where there are keys, a token
// must pass their check first, so that strangers cannot cause calls. Without any key, a token may be
// opaque: what is known of it is the service's answer.

// opaqueLife is how long a token is good for that nothing says the end of, if auth.max_token_life
// does not say less.
const opaqueLife = 24 * time.Hour

// ErrNotThis means that the service of auth.verify does not accept this token, and may accept a new one.
var ErrNotThis = errors.New("the token is not accepted by the service that checks it")

var errBearer = errors.New("the token holds characters other than visible ASCII, which no header may have")

// refusedError is the refusal of the service.
type refusedError struct {
	signed bool // by one of the keys, so that the token is not a guess
	final  bool // a new token would be refused too
}

// Error says so.
func (e refusedError) Error() string {
	if e.final {
		return "the service that checks tokens does not let this user in"
	}
	return ErrNotThis.Error()
}

// Is reports whether the other error is ErrNotThis.
func (e refusedError) Is(other error) bool { return other == ErrNotThis && !e.final }

// serviceError is ErrAsk, where the service has to be asked.
type serviceError struct{}

// Error returns what has to be done.
func (serviceError) Error() string { return "the token must be checked elsewhere first" }

// Is reports whether the other error is ErrAsk.
func (serviceError) Is(other error) bool { return other == ErrAsk }

// awayError is ErrAway, where it is the service that does not answer.
type awayError struct{}

// Error says so.
func (awayError) Error() string { return verify.ErrAway.Error() }

// Is reports whether the other error is ErrAway.
func (awayError) Is(other error) bool { return other == ErrAway }

// OfService reports whether ErrAsk or ErrAway is about the service.
func OfService(err error) bool {
	_, asks := errors.AsType[serviceError](err)
	_, away := errors.AsType[awayError](err)
	return asks || away
}

func (a *Authenticator) newService(cfg *config.Verify) *verify.Service {
	of := verify.Config{
		URL: cfg.URL, Timeout: cfg.Timeout, User: cfg.UserPath(), Claims: cfg.ClaimsPath(),
		Issued: cfg.IssuedPath(), Log: a.log,
		Known: func(token string) bool { return a.known.has(digestOf(token)) },
	}
	if a.store != nil {
		of.Shared, of.Shares = a.look, a.store.Usable
	}
	return verify.New(of)
}

// keyed reports whether tokens must pass a check by keys first.
func (a *Authenticator) keyed() bool { return a.source != nil || a.Keys() > 0 }

// beforeService checks what can be known of a token without the service. It never returns nil.
func (a *Authenticator) beforeService(token string) error {
	if a.keyed() {
		if _, err := a.parse(token); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errBearer
	}
	if a.service.Hopeless() {
		return awayError{}
	}
	return serviceError{}
}

// askService is Ask where the service has to be asked.
func (a *Authenticator) askService(token string, kept int, until time.Time, done func(Identity, error)) bool {
	d, generation := digestOf(token), a.known.generation.Load()
	return a.service.Check(token, kept, until, func(answer verify.Answer, err error) {
		id, err := a.served(token, d, answer, err)
		if err == nil && !answer.Known && a.keyed() && a.known.generation.Load() != generation {
			_, err = a.parse(token) // its key may have been withdrawn meanwhile
		}
		switch {
		case err == nil:
			a.remember(token, d, id, generation, answer)
		case !errors.Is(err, ErrAway):
			a.refused.Add(1)
		}
		done(id, err)
	})
}

// served returns what the service has said of a token, or why it is refused all the same.
func (a *Authenticator) served(token string, d digest, answer verify.Answer, err error) (Identity, error) {
	switch {
	case errors.Is(err, verify.ErrRefused):
		return Identity{}, refusedError{signed: a.keyed(), final: errors.Is(err, verify.ErrForbidden)}
	case err != nil:
		return Identity{}, awayError{}
	case answer.Known:
		if id, ok := a.known.find(d); ok {
			return id, nil
		}
		return Identity{}, awayError{} // forgotten at this moment
	}
	by := a.policy.Load()
	own := a.claims(by) // of the token, which the service vouches for
	if err := own.unverified(token); err != nil {
		return Identity{}, err
	}
	c := own
	if answer.Claims != nil {
		c = a.claims(by)
		if err := c.answered(answer.Claims); err != nil {
			return Identity{}, err
		}
		c.ExpiresAt = earliest(own.ExpiresAt, c.ExpiresAt)
		c.ID = own.ID
	}
	switch {
	case own.IssuedAt != nil:
		c.IssuedAt = own.IssuedAt
	case answer.Issued > 0: // or else iat of the answer's claims
		c.IssuedAt = jwt.NewNumericDate(time.Unix(answer.Issued, 0))
	}
	c.Subject = answer.User
	if c.ExpiresAt == nil {
		life := opaqueLife
		if by.longest > 0 {
			life = min(life, by.longest)
		}
		c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(life))
	}
	id, err := c.judge(nil, by.longest)
	if err == nil && !time.Now().Before(a.end(id)) {
		return Identity{}, ErrExpired
	}
	return id, err
}

// unverified reads the claims of a token whose signature was not checked here, but who it is of. A token
// that is not a JWT has none.
func (c *claims) unverified(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) || !jsontext.Valid(b) {
		return nil
	}
	return c.readBut(b, "sub")
}

// answered reads the claims of the service's answer. Of the registered ones, which are the token's,
// only exp counts, and iat where the token has none.
func (c *claims) answered(b []byte) error {
	return c.readBut(b, "sub", "iss", "aud", "nbf", "jti")
}

func earliest(a, b *jwt.NumericDate) *jwt.NumericDate {
	if a == nil || b != nil && b.Before(a.Time) {
		return b
	}
	return a
}
