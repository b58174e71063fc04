package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/server/auth/jwks"
	"tapecast/server/auth/keyset"
	"tapecast/server/auth/verify"
	"tapecast/server/config"
)

// Reload takes of another configuration the keys, what must hold of a token (issuer, audience,
// required_claims, user_pattern, max_token_life), and redis. The rest takes a restart. What has a fault
// stays as it was, and the error names it. Clients that are in stay in.
func (a *Authenticator) Reload(cfg *config.Auth) error {
	keys, _, err := cfg.ReadKeys()
	if err == nil && len(keys) == 0 && a.source == nil && a.service == nil && a.holders == nil {
		err = errors.New("no key to check tokens with: set auth.secret, auth.public_key (or their _file), " +
			"auth.keys, auth.jwks_url or auth.verify.url")
	}
	by, fault := newPolicy(cfg, a.leeway)
	a.mu.Lock()
	defer a.mu.Unlock()
	if fault == nil {
		a.policy.Store(by)
	}
	if err == nil {
		a.static = keys
		a.joinLocked()
		if a.source != nil {
			a.source.Refresh()
		}
	} else {
		a.known.generation.Add(1) // tokens that are known were judged by the policy before
	}
	return errors.Join(err, fault, a.reshare(cfg))
}

// take replaces the issuer's keys by those of the last fetch. It reports whether one of them has a new
// kid.
func (a *Authenticator) take(keys []keyset.Key, unused []string) (news bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range keys {
		news = news || !slices.ContainsFunc(a.fetched, func(k keyset.Key) bool { return k.ID == keys[i].ID })
	}
	same := sameKeys(a.fetched, keys)
	a.fetched = keys // the dates of their certificates may differ
	if !same {       // known tokens need not be forgotten at each fetch
		a.joinLocked()
	}
	if text := strings.Join(unused, "; "); text != a.unused {
		a.unused = text
		a.log.Info("keys of auth.jwks_url that are not used", "keys", text)
	}
	return news
}

// joinLocked puts the keys of both sources together, each once.
func (a *Authenticator) joinLocked() {
	all := slices.Clone(a.static)
	for i := range a.fetched {
		k := &a.fetched[i]
		if !slices.ContainsFunc(a.static, func(other keyset.Key) bool { return k.Same(&other) }) {
			all = append(all, *k)
		}
	}
	a.keys.Store(keyset.NewSet(all))
	a.known.generation.Add(1)
}

// sameKeys reports whether two lists hold the same keys, in whatever order.
func sameKeys(a, b []keyset.Key) bool {
	within := func(a, b []keyset.Key) bool {
		return !slices.ContainsFunc(a, func(k keyset.Key) bool {
			return !slices.ContainsFunc(b, func(other keyset.Key) bool { return k.Same(&other) })
		})
	}
	return within(a, b) && within(b, a)
}

// Keys returns how many keys there are.
func (a *Authenticator) Keys() int { return a.keys.Load().Len() }

// Run fetches the keys of auth.jwks_url, forgets old tokens, and lets auth.verify be asked, until ctx
// is done. started is called
// when the first fetch has ended, well or not, or after the time that a token may wait for one.
func (a *Authenticator) Run(ctx context.Context, started func()) {
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { a.sweep(ctx) })
	if a.service != nil {
		others.Go(func() { a.service.Run(ctx) })
	}
	if a.source == nil {
		started()
		<-ctx.Done()
		return
	}
	go func() {
		timer := time.NewTimer(jwks.MaxWait)
		defer timer.Stop()
		select {
		case <-a.source.First():
		case <-timer.C:
		case <-ctx.Done():
		}
		started()
	}()
	a.source.Run(ctx)
}

// sweep forgets the tokens whose time is over.
func (a *Authenticator) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.known.entries.CleanUp()
		}
	}
}

// Health reports whether all keys have been there once, and what is wrong with them, or with the
// service of auth.verify. A node is ready without that.
func (a *Authenticator) Health() (usable bool, detail string) {
	var faults []string
	usable = true
	if a.source != nil {
		if s := a.source.Stats(); s.Why != nil || s.Breaker != "closed" {
			usable = !s.Took.IsZero()
			faults = append(faults, fmt.Sprintf("auth.jwks_url: %v (breaker %s)", s.Why, s.Breaker))
		}
	}
	switch s := a.Service(); {
	case s.Breaker != "" && s.Breaker != "closed":
		faults = append(faults, fmt.Sprintf("auth.verify: %v (breaker %s)", s.Why, s.Breaker))
	case s.Nonsense != nil:
		faults = append(faults, fmt.Sprintf("auth.verify: %v, as in all of its last answers; see "+
			"auth.verify.user, and what the service says", s.Nonsense))
	}
	return usable, strings.Join(faults, "; ")
}

// Service returns the figures of auth.verify, or none if it is not set.
func (a *Authenticator) Service() verify.Stats {
	if a.service == nil {
		return verify.Stats{}
	}
	return a.service.Stats()
}

// Usable reports whether all keys have been there once.
func (a *Authenticator) Usable() bool {
	usable, _ := a.Health()
	return usable
}

// Source returns the figures of auth.jwks_url, or none if it is not set.
func (a *Authenticator) Source() jwks.Stats {
	if a.source == nil {
		return jwks.Stats{}
	}
	return a.source.Stats()
}

// Ask checks a token whose key must be fetched first, or which the service of auth.verify must check
// (ErrAsk). It calls done within verify.MaxWait, on a goroutine that must not be blocked. The error is
// ErrAway if neither is possible. It returns false if too many wait already; done is then not called.
// ask is what ParseToken said, and kept how many bytes the caller keeps meanwhile.
func (a *Authenticator) Ask(token string, ask error, kept int, done func(Identity, error)) bool {
	until := time.Now().Add(verify.MaxWait)
	lacks, ok := errors.AsType[askError](ask)
	if !ok {
		return a.askService(token, kept, until, done)
	}
	there := func() bool { return a.keys.Load().Has(lacks.alg, lacks.kid) }
	return a.source.Await(kept, there, func(err error) {
		if err != nil {
			done(Identity{}, err)
			return
		}
		id, err := a.recall(token)
		switch _, lack := errors.AsType[askError](err); {
		case lack:
			a.source.Lack(lacks.kid)
			err = ErrUnknownKey
		case errors.Is(err, ErrAsk):
			if !a.askService(token, kept, until, done) {
				done(Identity{}, awayError{})
			}
			return
		}
		if err != nil && !errors.Is(err, ErrAway) {
			a.refused.Add(1)
		}
		done(id, err)
	})
}

// askError is ErrAsk, with what the token's header says.
type askError struct{ alg, kid string }

// Error returns the text of ErrAsk.
func (askError) Error() string { return ErrAsk.Error() }

// Is reports whether the other error is ErrAsk.
func (askError) Is(other error) bool { return other == ErrAsk }

// key returns the keys that may have signed the token, by its alg and kid.
func (a *Authenticator) key(t *jwt.Token) (any, error) {
	kid, ok := t.Header["kid"].(string)
	if !ok && t.Header["kid"] != nil {
		return nil, errMalformed
	}
	var room [4]keyset.Key
	keys, found := a.keys.Load().Find(room[:0], t.Method.Alg(), kid)
	switch found {
	case keyset.Ambiguous:
		return nil, errNoKID
	case keyset.NoAlgorithm, keyset.NoID:
		return nil, a.unknown(t.Method.Alg(), kid, found)
	}
	if len(keys) == 1 {
		return keys[0].Material, nil
	}
	var all jwt.VerificationKeySet
	for i := range keys {
		all.Keys = append(all.Keys, keys[i].Material)
	}
	return all, nil
}

// unknown says why no key fits, or that the issuer may have published one meanwhile.
func (a *Authenticator) unknown(alg, kid string, found keyset.Found) error {
	if a.mayHave(alg, kid) {
		return askError{alg, kid}
	}
	if kid != "" && (found == keyset.NoID || a.source != nil && keyset.Public(alg)) {
		return ErrUnknownKey
	}
	return errMethod
}

// mayHave reports whether the issuer may have published a key that was not fetched yet.
func (a *Authenticator) mayHave(alg, kid string) bool {
	switch {
	case a.source == nil || !keyset.Public(alg) || len(kid) > keyset.MaxID:
		return false
	case kid == "":
		return a.source.Stats().Took.IsZero()
	}
	return !a.keys.Load().Has(alg, kid) && !a.source.Lacks(kid)
}

// notUnnamed is asked of a token with a wrong signature, which keys without a kid may have been
// tried for: the issuer may have published its own key meanwhile.
func (a *Authenticator) notUnnamed(t *jwt.Token) error {
	kid, _ := t.Header["kid"].(string)
	switch alg := t.Method.Alg(); {
	case kid == "" || !keyset.Public(alg) || a.keys.Load().Has(alg, kid):
		return errSignature
	case a.mayHave(alg, kid):
		return askError{alg, kid}
	}
	return ErrUnknownKey
}
