package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"tapecast/server/registry"
)

// services returns the parts of the gateway, by the names that operators know. A further one needs a
// line here and a file of its own. The registry does the rest: order, health, restarts and figures.
func (s *Server) services() []*registry.Service {
	list := []*registry.Service{s.connectionManager(), s.kafkaConsumer(), s.rateLimiter(), s.authService(),
		s.connectionHandler()}
	if s.cfg.Demo() && s.cfg.Ingest.Market {
		list = append(list, s.market())
	}
	if s.cfg.Auth.Revocations != "" {
		list = append(list, s.revocations())
	}
	if s.tiers != nil {
		list = append(list, s.tierRows())
	}
	if s.auth.Shares() {
		list = append(list, s.cache())
	}
	return list
}

// rateLimiter is never down: it has no part that could fail.
func (s *Server) rateLimiter() *registry.Service {
	return &registry.Service{
		Name:  "RateLimiter",
		Start: func(context.Context) error { return nil },
		Stop:  func(context.Context) error { return nil },
		Health: func() (registry.Status, string) { // looked at every 2 s
			s.handler.SweepBudgets()
			return registry.Healthy, ""
		},
		Figure: func() (string, int64) { return "requests", int64(s.limit.Requests.Load()) },
	}
}

func (s *Server) connectionHandler() *registry.Service {
	needs := []string{"AuthService", "RateLimiter"}
	if s.cfg.Auth.Revocations != "" {
		needs = append(needs, revocationList)
	}
	var cancel context.CancelFunc
	var ended sync.WaitGroup
	return &registry.Service{
		Name:  "ConnectionHandler",
		Needs: needs,
		Start: func(context.Context) error {
			if s.draining.Load() {
				return errors.New("the server is stopping")
			}
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			ended.Go(func() { s.handler.Run(ctx) })
			s.handler.Accept(true)
			return nil
		},
		Stop: func(context.Context) error {
			s.handler.Accept(false)
			if cancel != nil {
				cancel()
			}
			ended.Wait()
			return nil
		},
		Health: func() (registry.Status, string) {
			if !s.handler.Accepting() {
				return registry.Unhealthy, "handshakes are refused"
			}
			return registry.Healthy, ""
		},
		Figure: func() (string, int64) { return "pending", s.limit.Pending.Load() },
	}
}

// background is a part of a service that runs from its start to its stop. The zero value does not run.
type background struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func (b *background) start(run func(context.Context)) {
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	ended := make(chan struct{})
	b.ended = ended
	go func() {
		defer close(ended)
		run(ctx)
	}()
}

// stop ends it, and waits for its end until the context ends.
func (b *background) stop(ctx context.Context) error {
	if b.cancel == nil {
		return nil
	}
	b.cancel()
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lately reports whether something that is counted has happened in the last ten seconds.
type lately struct {
	mu    sync.Mutex
	count uint64
	at    time.Time
}

// latelyFor is how long it is remembered.
const latelyFor = 10 * time.Second

func (l *lately) grew(count uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if count > l.count {
		l.count, l.at = count, now
	}
	return !l.at.IsZero() && now.Sub(l.at) < latelyFor
}
