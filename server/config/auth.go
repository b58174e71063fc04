package config

import (
	"strings"
	"time"
)

// Auth says which tokens are accepted: those with sub and exp that one of the keys has signed. The
// type of a key decides which algorithms it may be used with. SIGHUP reads the keys again.
type Auth struct {
	// Secret is a key for HS256 of 32 bytes or more; with 48 also for HS384, with 64 for
	// HS512. Default none.
	Secret Secret `koanf:"secret"`
	// SecretFile holds Secret. One line end at its end is not part of it.
	SecretFile string `koanf:"secret_file"`
	// PublicKey is a key or certificate in PEM, or a JWK Set: RSA (RS256 to PS512), EC (ES256,
	// ES384, ES512) or Ed25519 (EdDSA). Default none.
	PublicKey string `koanf:"public_key"`
	// PublicKeyFile holds PublicKey.
	PublicKeyFile string `koanf:"public_key_file"`
	// Keys are further keys, such as those of another issuer, or of a rotation. A token's kid
	// chooses. Default none.
	Keys []AuthKey `koanf:"keys"`
	// PrivateKeyFile holds the Ed25519 key in PEM ("PRIVATE KEY") that
	// `tapecast token` signs with. The server never reads it.
	PrivateKeyFile string `koanf:"private_key_file"`
	// JWKSURL is where the issuer publishes its keys, as https://login.example.com/keys. They are
	// used beside the others. Plain http is for this machine only. Default "": nowhere.
	JWKSURL string `koanf:"jwks_url"`
	// JWKSRefresh is the time between two fetches of JWKSURL. A kid that is not known leads to
	// one at once, so that new keys need not be waited for. A key that the issuer no longer
	// publishes is used until the next one that succeeds. Default 5m.
	JWKSRefresh time.Duration `koanf:"jwks_refresh"`
	// Origins are the pages that may connect, as https://app.example.com, or
	// https://*.example.com for every name under it. A client that sends no Origin is not a page,
	// and may. Default none: pages of any origin may, since their rights come from their token.
	Origins []string `koanf:"origins"`
	// QueryToken accepts tokens in URLs, which proxies write into their logs. Default true.
	QueryToken bool `koanf:"query_token"`
	// Issuer is what a token's iss must be. Default "": anything.
	Issuer string `koanf:"issuer"`
	// Audience is what a token's aud must hold. Default "": anything.
	Audience string `koanf:"audience"`
	// RequiredClaims are claims that a token must have, by name. A value must be equal to the
	// claim's text, be one of a list, or one of its words (as in scope). An empty value: any. They are
	// required of certificates too, by Certificate.Claims. Default none.
	RequiredClaims map[string]string `koanf:"required_claims"`
	// Revocations is a compacted topic that says which users and tokens are refused from now on. It
	// is read whole before the node is ready. Default "": none.
	Revocations string `koanf:"revocations"`
	// UserPattern is a regular expression (RE2) that all of a user's id must match, such as [0-9]+.
	// It can refuse ":", which separates the parts of a room's name. Default "": any id.
	UserPattern string `koanf:"user_pattern"`
	// Services is what the claims of a service's token are, such as {scope: "tapecast:service"}. A
	// service may join any room by name, private ones and those of allow too, and is joined to no
	// rooms of users. All conditions must hold. SIGHUP reads it again. Default none: no token is a service's.
	Services Conditions `koanf:"services"`
	// MaxTokenLife is how far in the future a token's exp may be. A client that has come in with its
	// certificate must authenticate again after that time. Default 0s: any time.
	MaxTokenLife time.Duration `koanf:"max_token_life"`
	// MaxSession is how long a connection may last after its first authentication, however often it renews
	// its token. Default 0s: as long as its tokens are good.
	MaxSession time.Duration `koanf:"max_session"`
	// Leeway is the clock difference that is allowed for exp and nbf. iat is not checked: a token
	// from the future need not be refused (RFC 7519, 4.1.6). Only revocations go by it. Default 30s.
	Leeway time.Duration `koanf:"leeway"`
	// Timeout is the time a client has to authenticate. Default 10s.
	Timeout time.Duration `koanf:"timeout"`

	// Certificate says whose the certificate of a client is (server.tls.client_auth).
	Certificate Certificate `koanf:"certificate"`

	// Verify names a service that checks each token. Default none.
	Verify Verify `koanf:"verify"`
	// Redis shares what that service has said with all nodes. Default none.
	Redis Redis `koanf:"redis"`

	heldIn string // the configuration file that contains auth.secret; "": none does
}

// Verify is a service that has the last word on each token. It is asked by GET with the token in
// Authorization, and accepts it with status 200. Where there are keys, a token must pass their check
// first. Without any, it may be opaque.
type Verify struct {
	// URL is whom to ask, as https://accounts.example.com/me. Plain http is for this machine only.
	// Default "": nobody.
	URL string `koanf:"url"`
	// Timeout is how long an answer may take, 5s at most. Default 5s.
	Timeout time.Duration `koanf:"timeout"`
	// User is the path of the user's id in the answer: a string or a whole number. Default "":
	// data.user.id, or else user.id.
	User string `koanf:"user"`
	// Claims is the path of an object in the answer that holds the token's claims. Default "": they
	// are those of the token.
	Claims string `koanf:"claims"`
	// Issued is the path in the answer of the time when the token was issued, for tokens without iat: a
	// number of seconds since 1970, or a text as in RFC 3339. Revocations with a time go by it. Default
	// "": iat in Claims.
	Issued string `koanf:"issued"`
}

// Redis is where the nodes of a cluster share what the service of Auth.Verify has said of good tokens.
// It is trusted with nothing: entries are sealed. Without it each node asks by itself, which it also
// does while Redis fails.
type Redis struct {
	// Address is its host:port. Default "": nodes share nothing.
	Address string `koanf:"address"`
	// User is whom Redis' ACL knows. Default "": its default user.
	User string `koanf:"user"`
	// Password is the user's, or that of requirepass. Default none.
	Password Secret `koanf:"password"`
	// PasswordFile holds Password.
	PasswordFile string `koanf:"password_file"`
	// Database is the number of the database. Default 0.
	Database int `koanf:"database"`
	// TLS connects by TLS. The certificate must be for the host of Address. Default false.
	TLS bool `koanf:"tls"`
	// CAFile holds the certificates, in PEM, that the server's must lead to. Default "": the system's.
	CAFile string `koanf:"ca_file"`
	// Timeout is how long a look-up may take, connecting included. Then the service is asked. Default
	// 100ms; 1s at most.
	Timeout time.Duration `koanf:"timeout"`
	// Secret seals the entries: 32 bytes or more, the same on all nodes, and known to nobody else.
	Secret Secret `koanf:"secret"`
	// SecretFile holds Secret.
	SecretFile string `koanf:"secret_file"`
}

// IssuedPath returns Issued as the names that lead there; nil: it is not set.
func (v *Verify) IssuedPath() []string { return pathOf(v.Issued) }

// UserPath returns User as the names that lead there; nil: it is not set.
func (v *Verify) UserPath() []string { return pathOf(v.User) }

// ClaimsPath returns Claims as the names that lead there; nil: it is not set.
func (v *Verify) ClaimsPath() []string { return pathOf(v.Claims) }

func pathOf(dotted string) []string {
	if dotted == "" {
		return nil
	}
	return strings.Split(dotted, ".")
}

// AuthKey is one of Auth.Keys. It has either a secret or a public key.
type AuthKey struct {
	// KID is what kid is in the tokens that it has signed. Default "": it serves tokens with
	// any kid that no other key has. In a JWK Set each key has its own.
	KID string `koanf:"kid"`
	// Algorithms are the only ones it is used with. Default: all that fit its type.
	Algorithms []string `koanf:"algorithms"`
	// Secret is as in Auth.
	Secret Secret `koanf:"secret"`
	// SecretFile holds Secret.
	SecretFile string `koanf:"secret_file"`
	// PublicKey is as in Auth.
	PublicKey string `koanf:"public_key"`
	// PublicKeyFile holds PublicKey.
	PublicKeyFile string `koanf:"public_key_file"`
}
