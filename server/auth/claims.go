package auth

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fastjson"

	"tapecast/server/jsontext"
)

// claims holds the registered claims that are checked, by their exact names (RFC 7519, section 4).
// Without it encoding/json takes "SUB" for sub, and the last of two.
type claims struct {
	jwt.RegisteredClaims
	wants  map[string]string // required claims
	has    int               // of these
	users  *regexp.Regexp    // what a user's id must be; nil: anything
	keeps  []string          // names of claims that are kept
	looked uint16            // Identity.Looked

	kept      []Claim
	keptBytes int
	tooLarge  *claimError // nil: none is
}

var claimParsers fastjson.ParserPool

// UnmarshalJSON reads the claims. It is given valid JSON.
func (c *claims) UnmarshalJSON(b []byte) error { return c.readBut(b) }

// readBut reads the claims, and takes those of some names only for what is required.
func (c *claims) readBut(b []byte, names ...string) (err error) {
	p := claimParsers.Get()
	defer claimParsers.Put(p)
	o, err := objectOf(p, b)
	if err != nil {
		return err
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		name := string(key)
		switch {
		case err != nil || v.Type() == fastjson.TypeNull:
		case slices.Contains(names, name):
			c.note(name, v)
		default:
			c.note(name, v)
			err = c.take(name, v)
		}
	})
	c.noteNested(o)
	return err
}

// maxPath is how many names a path to a claim has at most.
const maxPath = 8

// noteNested notes the claims within objects that rules name by a path, such as realm_access.roles. A
// claim that has the whole name comes first.
func (c *claims) noteNested(o *fastjson.Object) {
	look := func(name string) {
		if strings.Contains(name, ".") && o.Get(name) == nil {
			if v := nested(o, name, maxPath); v != nil && v.Type() != fastjson.TypeNull {
				c.note(name, v)
			}
		}
	}
	for _, name := range c.keeps {
		look(name)
	}
	for name := range c.wants {
		if !slices.Contains(c.keeps, name) {
			look(name)
		}
	}
}

// nested returns the value to which a path leads; nil: none. Names may hold dots themselves, as those of
// Keycloak's clients do: of those that the path may begin with, the longest that an object has counts.
func nested(o *fastjson.Object, path string, most int) *fastjson.Value {
	if v := o.Get(path); v != nil || most == 0 {
		return v
	}
	for end := strings.LastIndexByte(path, '.'); end > 0; end = strings.LastIndexByte(path[:end], '.') {
		v := o.Get(path[:end])
		if v == nil {
			continue
		}
		under, err := v.Object()
		if err != nil {
			return nil
		}
		if _, twice := jsontext.Doubled(under); twice {
			return nil // another reader may take another one of the two
		}
		return nested(under, path[end+1:], most-1)
	}
	return nil
}

// objectOf parses a part of a token. Each name must occur once.
func objectOf(p *fastjson.Parser, b []byte) (*fastjson.Object, error) {
	if jsontext.TooDeep(b) {
		return nil, errMalformed
	}
	v, err := p.ParseBytes(b)
	if err != nil {
		return nil, errMalformed
	}
	o, err := v.Object()
	if err != nil {
		return nil, errMalformed
	}
	if _, twice := jsontext.Doubled(o); twice {
		return nil, errDoubled
	}
	return o, nil
}

// note counts a claim that is required, and keeps one that a rule names.
func (c *claims) note(name string, v *fastjson.Value) {
	if want, ok := c.wants[name]; ok && holds(v, want) {
		c.has++
	}
	if slices.Contains(c.keeps, name) {
		c.keep(name, v)
	}
}

// take reads a registered claim.
func (c *claims) take(name string, v *fastjson.Value) (err error) {
	text := func() string {
		var b []byte
		if b, err = v.StringBytes(); err != nil {
			err = errMalformed
			if name == "sub" {
				err = errUserType
			}
		}
		return string(b)
	}
	switch name {
	case "sub":
		c.Subject = text()
	case "iss":
		c.Issuer = text()
	case "aud":
		err = c.Audience.UnmarshalJSON(v.MarshalTo(nil))
	case "exp":
		c.ExpiresAt, err = dateOf(v)
	case "nbf":
		c.NotBefore, err = dateOf(v)
	case "iat": // of another type it is none: nothing depends on it but revocations, which then hold
		c.IssuedAt, _ = dateOf(v)
	case "jti":
		c.ID = textOf(v)
	}
	return err
}

// textOf returns a claim that should be a string, as it would be revoked: a number by its digits.
func textOf(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeString:
		return string(v.GetStringBytes())
	case fastjson.TypeNumber:
		return v.String()
	}
	return ""
}

// issued returns iat in seconds since 1970, or 0 if the token does not say.
func (c *claims) issued() int64 {
	if c.IssuedAt == nil {
		return 0
	}
	at := c.IssuedAt.Unix()
	if at < 0 || at > maxExpires {
		return 0
	}
	return at
}

// holds reports whether a claim is, lists, or has among its words what is wanted. "" is anything.
func holds(v *fastjson.Value, want string) bool {
	if want == "" {
		return true
	}
	c := claimOf(v)
	return c.Has(want)
}

// dateOf reads a NumericDate. A date after maxExpires becomes one second after it.
func dateOf(v *fastjson.Value) (*jwt.NumericDate, error) {
	var n json.Number
	if err := json.Unmarshal(v.MarshalTo(nil), &n); err != nil {
		return nil, errMalformed
	}
	f, err := n.Float64()
	if err != nil && math.IsInf(f, 0) {
		err = nil // still a number
	}
	if err != nil || n == "" {
		return nil, errMalformed
	}
	f = max(-maxExpires, min(f, maxExpires+1))
	return jwt.NewNumericDate(time.Unix(int64(f), 0)), nil
}

// judge returns the user, or why the token is refused. invalid is what jwt has against its claims;
// the signature is good. Faults that a new token of the same issuer would have too come before
// those that pass with time.
func (c *claims) judge(invalid error, longest time.Duration) (Identity, error) {
	if invalid != nil {
		for _, e := range [...]struct{ is, say error }{
			{jwt.ErrTokenRequiredClaimMissing, errClaim},
			{jwt.ErrTokenInvalidIssuer, errIssuer},
			{jwt.ErrTokenInvalidAudience, errAudience},
		} {
			if errors.Is(invalid, e.is) {
				return Identity{}, e.say
			}
		}
	}
	// An exp that is out of range would wrap around. jwt has checked that it exists.
	expires := c.ExpiresAt.Unix()
	if expires <= 0 || expires > maxExpires {
		return Identity{}, errExpires
	}
	if err := checkUser(c.Subject, c.users); err != nil {
		return Identity{}, err
	}
	switch {
	case c.has < len(c.wants):
		return Identity{}, errWanted
	case longest > 0 && time.Until(c.ExpiresAt.Time) > longest:
		return Identity{}, errLife
	case c.tooLarge != nil:
		return Identity{}, c.tooLarge
	}
	switch {
	case invalid == nil:
		return c.identity(expires), nil
	case errors.Is(invalid, jwt.ErrTokenExpired):
		return Identity{}, ErrExpired
	case errors.Is(invalid, jwt.ErrTokenNotValidYet):
		return Identity{}, ErrEarly
	}
	return Identity{}, errMalformed
}

// checkHeader refuses what RFC 7515 refuses: a parameter that occurs twice (section 4), and
// extensions that must be understood, since we understand none (section 4.1.11).
func checkHeader(t *jwt.Token) error {
	if _, ok := t.Header["crit"]; ok {
		return errCritical
	}
	head, _, _ := strings.Cut(t.Raw, ".")
	b, err := jwt.NewParser().DecodeSegment(head)
	if err != nil {
		return errMalformed
	}
	p := claimParsers.Get()
	defer claimParsers.Put(p)
	_, err = objectOf(p, b)
	return err
}

// methodEd25519 is EdDSA by the name that RFC 9864 gives it.
type methodEd25519 struct{ *jwt.SigningMethodEd25519 }

// Alg returns the name in a token's header.
func (methodEd25519) Alg() string { return "Ed25519" }

var signingEd25519 = methodEd25519{jwt.SigningMethodEdDSA}

func init() {
	jwt.RegisterSigningMethod(signingEd25519.Alg(), func() jwt.SigningMethod { return signingEd25519 })
}

// IsSigned reports whether a refused token has a good signature, so that it was not guessed. A
// doubled or malformed part may be found before the signature is checked.
func IsSigned(err error) bool {
	switch err {
	case ErrExpired, ErrEarly, errIssuer, errAudience, errClaim, errExpires,
		errNoUser, errLongUser, errBadUser, errUserForm, errCritical, errWanted, errLife:
		return true
	}
	if refused, ok := errors.AsType[refusedError](err); ok {
		return refused.signed
	}
	_, large := errors.AsType[*claimError](err)
	return large
}
