package auth

import "time"

// Expiry is the time of a certificate that a key came with.
type Expiry struct {
	Of         string // the key of the configuration: auth, or auth.jwks_url
	Name       string // the key's kid; "": it has none
	Begin, End time.Time
}

// Expiries returns those of all keys. A key is used beyond them, but its issuer may not mean it to be.
func (a *Authenticator) Expiries() (list []Expiry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.static {
		if k := &a.static[i]; !k.NotAfter.IsZero() {
			list = append(list, Expiry{"auth", k.ID, k.NotBefore, k.NotAfter})
		}
	}
	for i := range a.fetched {
		if k := &a.fetched[i]; !k.NotAfter.IsZero() {
			list = append(list, Expiry{"auth.jwks_url", k.ID, k.NotBefore, k.NotAfter})
		}
	}
	return list
}
