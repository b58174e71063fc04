package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"tapecast/rooms"
	"tapecast/server/config"
)

// A client may have proved in the TLS handshake that a certificate is its own. The configuration then
// says whose it is (auth.certificate), and what rules may ask of it. TLS has verified the certificate.

// holders says whose certificates are. It does not change.
type holders struct {
	rule    config.Certificate
	pattern *regexp.Regexp // nil: anything
	claims  []string       // their names, sorted

	accepted, refused atomic.Uint64
}

// certificateError is why a certificate does not let its client in, in words for that client.
type certificateError struct {
	text  string
	passe bool // it was good once, so that a new one may be
}

// Error returns the reason.
func (e *certificateError) Error() string { return e.text }

var (
	errCertOff     = &certificateError{text: "a token is needed here: certificates give no user"}
	errNoCert      = &certificateError{text: "no certificate came with this connection"}
	errCertUser    = &certificateError{text: "the certificate does not name a user as they are here"}
	errCertUsers   = &certificateError{text: "the certificate names more than one user"}
	errCertLong    = &certificateError{text: fmt.Sprintf("the certificate's user has over %d bytes", rooms.MaxOwner)}
	errCertBadUser = &certificateError{text: "the certificate's user holds a character that no room name may have"}
	errCertForm    = &certificateError{text: "the certificate's user is not an id as they are here (auth.user_pattern)"}
	errCertClaims  = &certificateError{text: fmt.Sprintf("the certificate has too many names: the claims that rules "+
		"name here may have %d values each, and %d bytes together", maxClaimValues, maxClaimBytes)}
	errCertWanted = &certificateError{text: "the certificate lacks a claim that is required here, or its value " +
		"(auth.required_claims)"}
	errCertEnded = &certificateError{text: "the certificate has expired", passe: true}
)

// IsOfCertificate reports whether an error is about a certificate, which nobody can guess. renew
// reports whether a new one may be accepted.
func IsOfCertificate(err error) (is, renew bool) {
	e, ok := errors.AsType[*certificateError](err)
	return ok, ok && e.passe
}

// newHolders returns nil if certificates give no users.
func newHolders(rule *config.Certificate) (*holders, error) {
	if !rule.On() {
		return nil, nil
	}
	pattern, err := rule.Pattern()
	if err != nil {
		return nil, fmt.Errorf("auth.certificate.match: %w", err)
	}
	return &holders{rule: *rule, pattern: pattern, claims: slices.Sorted(maps.Keys(rule.Claims))}, nil
}

// OfCertificate returns whose a certificate is, which TLS has verified until then; nil: there is none. What
// is required of a token's claims is required of its. It expires with the certificate, or after
// auth.max_token_life. Its ID is "sha256:" and the fingerprint, and it was issued at notBefore.
func (a *Authenticator) OfCertificate(cert *x509.Certificate, until time.Time) (Identity, error) {
	if a.holders == nil {
		return Identity{}, errCertOff
	}
	id, err := a.holders.identity(cert, until, a.policy.Load(), a.keeps.Load())
	if err != nil {
		a.holders.refused.Add(1)
		return Identity{}, err
	}
	a.holders.accepted.Add(1)
	return id, nil
}

// GivesUser reports whether OfCertificate would return a user.
func (a *Authenticator) GivesUser(cert *x509.Certificate, until time.Time) bool {
	if a.holders == nil || cert == nil {
		return false
	}
	_, err := a.holders.identity(cert, until, a.policy.Load(), a.keeps.Load())
	return err == nil
}

// Certificates returns how many times a certificate was accepted, and refused, in place of a token.
func (a *Authenticator) Certificates() (accepted, refused uint64) {
	if a.holders == nil {
		return 0, 0
	}
	return a.holders.accepted.Load(), a.holders.refused.Load()
}

func (h *holders) identity(cert *x509.Certificate, until time.Time, by *policy, keeps *keeps) (id Identity,
	err error) {
	if cert == nil {
		return id, errNoCert
	}
	if id.User, err = h.user(cert); err != nil {
		return id, err
	}
	switch checkUser(id.User, by.users) {
	case nil:
	case errLongUser:
		return id, errCertLong
	case errUserForm:
		return id, errCertForm
	case errNoUser:
		return id, errCertUser
	default:
		return id, errCertBadUser
	}
	if !h.fulfils(cert, by.wants) {
		return id, errCertWanted
	}
	id.Looked = keeps.turn
	if id.Claims, err = h.claimsOf(cert, keeps.names); err != nil {
		return id, err
	}
	now := time.Now()
	if !now.Before(until) {
		return id, errCertEnded
	}
	if by.longest > 0 && until.Sub(now) > by.longest {
		until = now.Add(by.longest)
	}
	sum := sha256.Sum256(cert.Raw)
	id.ID = "sha256:" + hex.EncodeToString(sum[:])
	id.Expires = min(until.Unix(), maxExpires)
	id.Issued = max(0, min(cert.NotBefore.Unix(), maxExpires))
	return id, nil
}

// user returns the one id that the values of the rule's part give.
func (h *holders) user(cert *x509.Certificate) (user string, err error) {
	found := false
	for _, v := range valuesOf(cert, h.rule.User) {
		if h.pattern != nil {
			m := h.pattern.FindStringSubmatch(v)
			if m == nil {
				continue
			}
			v = m[len(m)-1]
		}
		if found && v != user {
			return "", errCertUsers
		}
		user, found = v, true
	}
	if !found {
		return "", errCertUser
	}
	return user, nil
}

// fulfils reports whether a certificate has the claims that are required.
func (h *holders) fulfils(cert *x509.Certificate, wants map[string]string) bool {
	for name, want := range wants {
		values := valuesOf(cert, h.rule.Claims[name])
		if len(values) == 0 || want != "" && !slices.Contains(values, want) {
			return false
		}
	}
	return true
}

// claimsOf returns the claims that are kept.
func (h *holders) claimsOf(cert *x509.Certificate, keeps []string) (*Claims, error) {
	var list []Claim
	bytes := 0
	for _, name := range h.claims {
		if !slices.Contains(keeps, name) {
			continue
		}
		values := valuesOf(cert, h.rule.Claims[name])
		for _, v := range values {
			bytes += len(v)
		}
		switch {
		case len(values) > maxClaimValues || bytes > maxClaimBytes:
			return nil, errCertClaims
		case len(values) == 1:
			list = append(list, Claim{Name: name, Text: values[0]})
		case len(values) > 1:
			list = append(list, Claim{Name: name, List: values})
		}
	}
	if list == nil {
		return nil, nil
	}
	return &Claims{List: list}, nil
}

// commonName is the type of a subject's common name (X.520).
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// valuesOf returns a part of a certificate (config.Certificate), without texts that are not UTF-8.
func valuesOf(cert *x509.Certificate, part string) (values []string) {
	switch part {
	case "cn":
		for _, n := range cert.Subject.Names { // all of them, where Subject.CommonName is the last
			if text, ok := n.Value.(string); ok && n.Type.Equal(commonName) {
				values = append(values, text)
			}
		}
	case "ou":
		values = slices.Clone(cert.Subject.OrganizationalUnit)
	case "o":
		values = slices.Clone(cert.Subject.Organization)
	case "dns":
		values = slices.Clone(cert.DNSNames)
	case "email":
		values = slices.Clone(cert.EmailAddresses)
	case "uri":
		for _, u := range cert.URIs {
			values = append(values, u.String())
		}
	case "serial":
		values = []string{cert.SerialNumber.Text(16)}
	}
	return slices.DeleteFunc(values, func(v string) bool { return v == "" || !utf8.ValidString(v) })
}
