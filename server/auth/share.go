package auth

import (
	"context"
	"fmt"
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
	of, err := sharedOf(cfg)
	if err != nil {
		return nil, err
	}
	of.Log = log
	return shared.New(of)
}

func sharedOf(cfg *config.Auth) (shared.Config, error) {
	of, err := cfg.Shared()
	of.Keep, of.AtOnce = knownFor, verify.MaxCalls
	return of, err
}

// reshare takes auth.redis of another configuration. Whether there is one takes a restart.
func (a *Authenticator) reshare(cfg *config.Auth) error {
	if a.store == nil || cfg.Redis.Address == "" {
		return nil
	}
	next := *cfg
	next.Verify, next.Leeway = a.remote, a.leeway // these take a restart
	of, err := sharedOf(&next)
	if err != nil {
		return fmt.Errorf("auth.redis.ca_file: %w", err)
	}
	changed, err := a.store.Change(of)
	if err != nil {
		return fmt.Errorf("auth.redis: %w", err)
	}
	if changed {
		a.log.Info("auth.redis reloaded: connecting anew", "address", of.Address)
	}
	return nil
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
