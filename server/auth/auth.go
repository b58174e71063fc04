package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms"
	"tapecast/server/auth/jwks"
	"tapecast/server/auth/keyset"
	"tapecast/server/auth/shared"
	"tapecast/server/auth/verify"
	"tapecast/server/config"
)

const (
	// maxToken bounds what is decoded for a stranger. Tokens with many claims have 2 KB.
	maxToken = 8 << 10
	// maxExpires is the end of the year 9999: later times do not fit the types they go through.
	maxExpires = 253402300799
)

// Why a token was refused, in words for the client. None contains any part of the token.
var (
	errEmpty     = errors.New("the token is empty")
	errLong      = fmt.Errorf("the token is longer than %d bytes", maxToken)
	errMalformed = errors.New("the token is not a compact JWT, or a claim in it has the wrong type")
	errMethod    = errors.New("the token's algorithm is not accepted here: no key is for it")
	errNoKID     = errors.New("the token has no kid, and too many keys could have signed it")
	errSignature = errors.New("the token's signature is wrong")
	errCritical  = errors.New("the token's header has crit, and no extension is understood here")
	errDoubled   = errors.New("the token has a claim or a header parameter twice")
	// ErrAsk: the key may be one that the issuer publishes, or the service of auth.verify has to be asked
	// (Authenticator.Ask).
	ErrAsk = errors.New("the token's key must be fetched first")
	// ErrAway: the issuer's keys could not be fetched, or the service does not answer.
	ErrAway = jwks.ErrAway
	// ErrUnknownKey: a new token may have been signed with a key that is known here.
	ErrUnknownKey = errors.New("the token's kid names no key that is known here")
	ErrExpired    = errors.New("the token has expired")
	ErrEarly      = errors.New("the token is not valid yet")
	errIssuer     = errors.New("the token is of another issuer")
	errAudience   = errors.New("the token is for another audience")
	errClaim      = errors.New("the token lacks exp, or another claim that is required")
	errWanted     = errors.New("the token lacks a claim that is required here, or its value (auth.required_claims)")
	errLife       = errors.New("the token lives for longer than is allowed here (auth.max_token_life)")
	errExpires    = errors.New("the token's exp lies out of range")
	errNoUser     = errors.New("the token has no sub")
	errUserType   = errors.New("the token's sub must be a string: put quotes around a number")
	errLongUser   = fmt.Errorf("the token's sub is longer than %d bytes", rooms.MaxOwner)
	errBadUser    = errors.New("the token's sub holds a character that no room name may have: white space, control " +
		"characters and *{}\"\\ are refused")
	errUserForm = errors.New("the token's sub is not a user's id as they are here (auth.user_pattern)")
)

// Identity is what a valid token says.
type Identity struct {
	User    string
	Expires int64  // seconds since 1970, as in the token
	ID      string // jti; "": it has none, and cannot be revoked alone
	Issued  int64  // iat in seconds since 1970; 0: it does not say, and may be of any age
	// Claims are those that rules need (Authenticator.Keep). Nil: the token has none of them.
	Claims *Claims
	// Looked says which names of Authenticator.Keep the token was looked at for.
	Looked uint16
}

// Authenticator checks tokens. Any goroutine may use it.
type Authenticator struct {
	keys    atomic.Pointer[keyset.Set]
	policy  atomic.Pointer[policy]
	known   *known
	source  *jwks.Source    // nil: no keys are fetched
	url     string          // of source
	service *verify.Service // nil: keys alone decide
	remote  config.Verify   // of service
	store   *shared.Store   // what service said to other nodes; nil: nodes share nothing
	leeway  time.Duration
	keeps   atomic.Pointer[keeps]
	holders *holders // whose certificates are; nil: nobody's
	log     *slog.Logger

	mu      sync.Mutex   // guards the parts of keys
	static  []keyset.Key // of the configuration
	fetched []keyset.Key
	unused  string // what was said of the keys that the issuer publishes for other things

	checked atomic.Uint64
	refused atomic.Uint64
}

// policy is what must hold of a token besides its signature. It does not change once made.
type policy struct {
	parser  *jwt.Parser
	wants   map[string]string // required claims
	users   *regexp.Regexp    // what a user's id must be; nil: anything
	longest time.Duration     // of a token's life; 0: any
}

func newPolicy(cfg *config.Auth, leeway time.Duration) (*policy, error) {
	users, err := cfg.Users()
	if err != nil {
		return nil, err
	}
	opts := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithLeeway(leeway)}
	if cfg.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		opts = append(opts, jwt.WithAudience(cfg.Audience))
	}
	return &policy{jwt.NewParser(opts...), cfg.RequiredClaims, users, cfg.MaxTokenLife}, nil
}

// New takes the keys from the configuration. Algorithms that fit no key are never accepted. With
// auth.jwks_url Run fetches further keys.
func New(cfg *config.Auth, log *slog.Logger) (*Authenticator, error) {
	a := &Authenticator{leeway: cfg.Leeway, log: log, url: cfg.JWKSURL, remote: cfg.Verify,
		known: newKnown(MaxKnownBytes)}
	a.keeps.Store(&keeps{})
	if a.url != "" {
		a.source = jwks.New(jwks.Config{URL: a.url, Every: cfg.JWKSRefresh, Took: a.take, Log: log})
	}
	var err error
	if a.holders, err = newHolders(&cfg.Certificate); err != nil {
		return nil, err
	}
	if cfg.Verify.URL != "" {
		if a.store, err = newStore(cfg, log); err != nil {
			return nil, err
		}
		a.service = a.newService(&cfg.Verify)
	}
	if err := a.Reload(cfg); err != nil {
		return nil, err
	}
	return a, nil
}

// Leeway returns how long after its exp a token is accepted.
func (a *Authenticator) Leeway() time.Duration { return a.leeway }

// Checked returns how many tokens were checked.
func (a *Authenticator) Checked() uint64 { return a.checked.Load() }

// Refused returns how many tokens were refused.
func (a *Authenticator) Refused() uint64 { return a.refused.Load() }

// ParseToken checks a token: algorithm, signature, times, issuer, audience and
// user. One that was good a moment ago still is. Its errors may be shown to the client, but for
// ErrAsk: then Ask tells.
func (a *Authenticator) ParseToken(token string) (Identity, error) {
	a.checked.Add(1)
	id, err := a.recall(token)
	if err != nil && !errors.Is(err, ErrAsk) && !errors.Is(err, ErrAway) {
		a.refused.Add(1)
	}
	return id, err
}

// recall is parse for a token that may be known.
func (a *Authenticator) recall(token string) (Identity, error) {
	switch {
	case token == "":
		return Identity{}, errEmpty
	case len(token) > maxToken:
		return Identity{}, errLong
	}
	d, generation := digestOf(token), a.known.generation.Load()
	if id, ok := a.known.find(d); ok {
		return id, nil
	}
	if a.service != nil {
		return Identity{}, a.beforeService(token)
	}
	id, algorithm, err := a.check(token)
	if err == nil && keyset.Public(algorithm) { // an HMAC is as quick as the memory, and takes none
		a.known.add(d, id, generation, a.end(id))
	}
	return id, err
}

// end returns until when a token is accepted.
func (a *Authenticator) end(id Identity) time.Time { return time.Unix(id.Expires, 0).Add(a.leeway) }

// parse checks a token with the keys.
func (a *Authenticator) parse(token string) (Identity, error) {
	id, _, err := a.check(token)
	return id, err
}

// check is parse that returns also the algorithm of a good token.
func (a *Authenticator) check(token string) (Identity, string, error) {
	by := a.policy.Load()
	c := a.claims(by)
	t, err := by.parser.ParseWithClaims(token, c, a.key)
	if err != nil && !errors.Is(err, jwt.ErrTokenInvalidClaims) {
		if err = tokenError(err); err == errSignature && a.source != nil {
			err = a.notUnnamed(t)
		}
		return Identity{}, "", err
	}
	if err := checkHeader(t); err != nil {
		return Identity{}, "", err
	}
	id, err := c.judge(err, by.longest)
	return id, t.Method.Alg(), err
}

// claims returns what a token's claims are read into.
func (a *Authenticator) claims(by *policy) *claims {
	keeps := a.keeps.Load()
	return &claims{wants: by.wants, users: by.users, keeps: keeps.names, looked: keeps.turn}
}

// tokenError returns, in our words, what jwt found before it checked the values of the claims.
func tokenError(err error) error {
	if ask, ok := errors.AsType[askError](err); ok {
		return ask
	}
	for _, e := range [...]struct{ is, say error }{
		{errDoubled, errDoubled},
		{errUserType, errUserType},
		{errMethod, errMethod},
		{ErrUnknownKey, ErrUnknownKey},
		{errNoKID, errNoKID},
		{errMalformed, errMalformed},
		{jwt.ErrTokenMalformed, errMalformed},
		{jwt.ErrTokenUnverifiable, errMethod}, // an algorithm that nobody knows
	} {
		if errors.Is(err, e.is) {
			return e.say
		}
	}
	return errSignature
}

// checkUser checks a user's id. form is what it must match; nil: anything.
func checkUser(user string, form *regexp.Regexp) error {
	switch {
	case user == "":
		return errNoUser
	case len(user) > rooms.MaxOwner:
		return errLongUser
	case !rooms.CanOwn(user):
		return errBadUser
	case form != nil && !form.MatchString(user):
		return errUserForm
	}
	return nil
}
