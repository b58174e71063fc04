package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms"
	"tapecast/server/config"
)

const (
	// maxToken bounds what is decoded for a client that is not authenticated. Tokens with many
	// claims have 2 KB.
	maxToken = 8 << 10
	// maxExpires is the end of the year 9999: beyond it times no longer fit the
	// types that they go through.
	maxExpires = 253402300799
)

// Why a token was refused, in words for the client. None contains any part of the token.
var (
	errEmpty     = errors.New("the token is empty")
	errLong      = fmt.Errorf("the token is longer than %d bytes", maxToken)
	errMalformed = errors.New("the token is not a compact JWT, or a claim in it has the wrong type")
	errMethod    = errors.New("the token's algorithm is not accepted here; HS256, EdDSA and Ed25519 are, by key")
	errSignature = errors.New("the token's signature is wrong")
	errCritical  = errors.New("the token's header has crit, and no extension is understood here")
	errDoubled   = errors.New("the token has a claim or a header parameter twice")
	ErrExpired   = errors.New("the token has expired")
	ErrEarly     = errors.New("the token is not valid yet")
	errIssuer    = errors.New("the token is of another issuer")
	errAudience  = errors.New("the token is for another audience")
	errClaim     = errors.New("the token lacks exp, or another claim that is required")
	errExpires   = errors.New("the token's exp lies out of range")
	errNoUser    = errors.New("the token has no sub")
	errUserType  = errors.New("the token's sub must be a string: put quotes around a number")
	errLongUser  = fmt.Errorf("the token's sub is longer than %d bytes", rooms.MaxOwner)
	errBadUser   = errors.New("the token's sub holds a character that no room name may have: white space, control " +
		"characters and *{}\"\\ are refused")
)

// Identity is what a valid token says.
type Identity struct {
	User    string
	Expires int64 // seconds since 1970, as in the token
}

// Authenticator checks tokens. It does not change once made, except for its counters. Any goroutine
// may use it.
type Authenticator struct {
	parser *jwt.Parser
	secret []byte            // nil: no HS256
	public ed25519.PublicKey // nil: no Ed25519
	leeway time.Duration

	checked atomic.Uint64
	refused atomic.Uint64
}

// New takes the keys from the configuration. Algorithms without a
// key are never accepted.
func New(cfg *config.Auth) (*Authenticator, error) {
	a := &Authenticator{leeway: cfg.Leeway}
	var methods []string
	if cfg.Secret != "" {
		if len(cfg.Secret) < config.MinSecret {
			return nil, fmt.Errorf("auth.secret has %d bytes, and HS256 needs %d or more: make a longer one",
				len(cfg.Secret), config.MinSecret)
		}
		a.secret = []byte(cfg.Secret)
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	public, err := cfg.Ed25519Key()
	if err != nil {
		return nil, fmt.Errorf("auth.public_key: %w", err)
	}
	if public != nil {
		a.public = public
		methods = append(methods, jwt.SigningMethodEdDSA.Alg(), signingEd25519.Alg())
	}
	if len(methods) == 0 {
		return nil, errors.New("no key to check tokens with: set auth.secret or auth.public_key (or their _file)")
	}
	opts := []jwt.ParserOption{jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(cfg.Leeway)}
	if cfg.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		opts = append(opts, jwt.WithAudience(cfg.Audience))
	}
	a.parser = jwt.NewParser(opts...)
	return a, nil
}

// Leeway returns how long after its exp a token is accepted.
func (a *Authenticator) Leeway() time.Duration { return a.leeway }

// Checked returns how many tokens were checked.
func (a *Authenticator) Checked() uint64 { return a.checked.Load() }

// Refused returns how many tokens were refused.
func (a *Authenticator) Refused() uint64 { return a.refused.Load() }

// ParseToken checks a token: algorithm, signature, times, issuer, audience and
// user. Its errors may be shown to the client.
func (a *Authenticator) ParseToken(token string) (Identity, error) {
	a.checked.Add(1)
	id, err := a.parse(token)
	if err != nil {
		a.refused.Add(1)
	}
	return id, err
}

func (a *Authenticator) parse(token string) (Identity, error) {
	switch {
	case token == "":
		return Identity{}, errEmpty
	case len(token) > maxToken:
		return Identity{}, errLong
	}
	var c claims
	t, err := a.parser.ParseWithClaims(token, &c, a.key)
	if err != nil && !errors.Is(err, jwt.ErrTokenInvalidClaims) {
		return Identity{}, tokenError(err)
	}
	if err := checkHeader(t); err != nil {
		return Identity{}, err
	}
	return c.judge(err)
}

// key returns the key for the token's algorithm, which the parser has found to be one of those
// configured.
func (a *Authenticator) key(t *jwt.Token) (any, error) {
	switch {
	case t.Method == jwt.SigningMethodHS256 && a.secret != nil:
		return a.secret, nil
	case (t.Method == jwt.SigningMethodEdDSA || t.Method == signingEd25519) && a.public != nil:
		return a.public, nil
	}
	return nil, errMethod
}

// tokenError returns, in our words, what jwt found before it checked the values of the claims.
func tokenError(err error) error {
	for _, e := range [...]struct{ is, say error }{
		{errDoubled, errDoubled},
		{errUserType, errUserType},
		{jwt.ErrTokenMalformed, errMalformed},
		{errMethod, errMethod},
		{jwt.ErrTokenUnverifiable, errMethod},
	} {
		if errors.Is(err, e.is) {
			return e.say
		}
	}
	// What remains is a wrong signature, or an algorithm that we do not accept. Only the text tells
	// them apart.
	if strings.Contains(err.Error(), "signing method") {
		return errMethod
	}
	return errSignature
}

// checkUser returns an error if a user's name cannot be a part of room names.
func checkUser(user string) error {
	switch {
	case user == "":
		return errNoUser
	case len(user) > rooms.MaxOwner:
		return errLongUser
	case !rooms.CanOwn(user):
		return errBadUser
	}
	return nil
}
