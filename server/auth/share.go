package auth

import (
	"context"
	"log/slog"

	"tapecast/server/auth/shared"
	"tapecast/server/auth/verify"
	"tapecast/server/config"
)

// Nodes share what the service of auth.verify has said (auth.redis). Only that is worth a round trip: to
// check a signature takes less time than to ask Redis. A token that is known here is not looked up, and
// one that has to pass a check by keys is looked up after that.

// newStore returns what nodes share, or nil if they do not.
func newStore(cfg *config.Auth, log *slog.Logger) (*shared.Store, error) {
	if cfg.Redis.Address == "" {
		return nil, nil
	}
	of, err := cfg.Shared()
	if err != nil {
		return nil, err
	}
	of.Keep, of.Log = knownFor, log
	return shared.New(of)
}

// look returns what another node was told about a token.
func (a *Authenticator) look(ctx context.Context, token string) (verify.Answer, bool) {
	e, ok := a.store.Look(ctx, token)
	return verify.Answer{User: e.User, Claims: e.Claims, Issued: e.Issued, Until: e.Until}, ok
}

// remember keeps a good token here, and what the service has said of it for other nodes. Of those that
// waited for the same answer only the first one has it stored.
func (a *Authenticator) remember(token string, d digest, id Identity, generation uint64, answer verify.Answer) {
	end := a.end(id)
	if !answer.Until.IsZero() && answer.Until.Before(end) {
		end = answer.Until
	}
	first := !a.known.has(d)
	a.known.add(d, id, generation, end)
	if first && a.store != nil && !answer.Known && answer.Until.IsZero() {
		a.store.Put(token, shared.Entry{User: answer.User, Claims: answer.Claims, Until: end, Issued: answer.Issued})
	}
}

// Shares reports whether nodes share what the service of auth.verify has said.
func (a *Authenticator) Shares() bool { return a.store != nil }

// RunShared keeps the connection to Redis, until ctx is done.
func (a *Authenticator) RunShared(ctx context.Context) { a.store.Run(ctx) }

// Shared returns the figures of auth.redis, or none if it is not set.
func (a *Authenticator) Shared() shared.Stats {
	if a.store == nil {
		return shared.Stats{}
	}
	return a.store.Stats()
}
