package server

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
	// maxToken bounds what is decoded for somebody who is nobody yet. Tokens with
	// many claims have 2 KB.
	maxToken = 8 << 10
	// maxExpires is the end of the year 9999: beyond it times no longer fit the
	// types that they go through.
	maxExpires = 253402300799
)

// Why a token was refused, in words fit for the client: none holds any part of
// the token.
var (
	errTokenEmpty     = errors.New("the token is empty")
	errTokenLong      = fmt.Errorf("the token is longer than %d bytes", maxToken)
	errTokenMalformed = errors.New("the token is not a compact JWT, or a claim in it has the wrong type")
	errTokenMethod    = errors.New("the token's algorithm is not accepted here; HS256, EdDSA and Ed25519 are, by key")
	errTokenSignature = errors.New("the token's signature is wrong")
	errTokenCritical  = errors.New("the token's header has crit, and no extension is understood here")
	errTokenDoubled   = errors.New("the token has a claim or a header parameter twice")
	errTokenExpired   = errors.New("the token has expired")
	errTokenEarly     = errors.New("the token is not valid yet")
	errTokenIssuer    = errors.New("the token is of another issuer")
	errTokenAudience  = errors.New("the token is for another audience")
	errTokenClaim     = errors.New("the token lacks exp, or another claim that is required")
	errTokenExpires   = errors.New("the token's exp lies out of range")
	errTokenNoUser    = errors.New("the token has no sub")
	errTokenUserType  = errors.New("the token's sub must be a string: put quotes around a number")
	errTokenLongUser  = fmt.Errorf("the token's sub is longer than %d bytes", rooms.MaxOwner)
	errTokenBadUser   = errors.New("the token's sub holds a character that no room name may have: white space, control characters and *{}\"\\ are refused")
)

// identity is what a good token says.
type identity struct {
	user    string
	expires int64 // seconds since 1970, as in the token
}

// authenticator checks tokens. It does not change once made, apart from its
// counters, and any goroutine may use it.
type authenticator struct {
	parser *jwt.Parser
	secret []byte            // nil: no HS256
	public ed25519.PublicKey // nil: no Ed25519
	leeway time.Duration

	checked atomic.Uint64
	refused atomic.Uint64
}

// newAuthenticator takes the keys from the configuration. Algorithms without a
// key are never accepted.
func newAuthenticator(cfg *config.Auth) (*authenticator, error) {
	a := &authenticator{leeway: cfg.Leeway}
	var methods []string
	if cfg.Secret != "" {
		if len(cfg.Secret) < config.MinSecret {
			return nil, fmt.Errorf("auth.secret has %d bytes, and HS256 wants %d or more: make a longer one", len(cfg.Secret), config.MinSecret)
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

// ParseToken checks a token: algorithm, signature, times, issuer, audience and
// user. Its errors may be shown to the client.
func (a *authenticator) ParseToken(token string) (identity, error) {
	a.checked.Add(1)
	id, err := a.parse(token)
	if err != nil {
		a.refused.Add(1)
	}
	return id, err
}

func (a *authenticator) parse(token string) (identity, error) {
	switch {
	case token == "":
		return identity{}, errTokenEmpty
	case len(token) > maxToken:
		return identity{}, errTokenLong
	}
	var c claims
	t, err := a.parser.ParseWithClaims(token, &c, a.key)
	if err != nil && !errors.Is(err, jwt.ErrTokenInvalidClaims) {
		return identity{}, tokenError(err)
	}
	if err := checkHeader(t); err != nil {
		return identity{}, err
	}
	return c.judge(err)
}

// key is the key for the token's algorithm, which the parser has found to be
// one of those configured.
func (a *authenticator) key(t *jwt.Token) (any, error) {
	switch {
	case t.Method == jwt.SigningMethodHS256 && a.secret != nil:
		return a.secret, nil
	case (t.Method == jwt.SigningMethodEdDSA || t.Method == signingEd25519) && a.public != nil:
		return a.public, nil
	}
	return nil, errTokenMethod
}

// tokenError says what jwt found before it looked at the claims' values, in our own words.
func tokenError(err error) error {
	for _, e := range [...]struct{ is, say error }{
		{errTokenDoubled, errTokenDoubled},
		{errTokenUserType, errTokenUserType},
		{jwt.ErrTokenMalformed, errTokenMalformed},
		{errTokenMethod, errTokenMethod},
		{jwt.ErrTokenUnverifiable, errTokenMethod},
	} {
		if errors.Is(err, e.is) {
			return e.say
		}
	}
	// What is left has a wrong signature, or an algorithm that we do not accept;
	// only the words tell them apart.
	if strings.Contains(err.Error(), "signing method") {
		return errTokenMethod
	}
	return errTokenSignature
}

// checkUser returns an error if a user's name cannot be a part of room names.
func checkUser(user string) error {
	switch {
	case user == "":
		return errTokenNoUser
	case len(user) > rooms.MaxOwner:
		return errTokenLongUser
	case !rooms.CanOwn(user):
		return errTokenBadUser
	}
	return nil
}
