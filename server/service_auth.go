package server

import (
	"context"

	"tapecast/server/registry"
)

// authService checks tokens with keys that it holds, and fetches those of auth.jwks_url. If they
// cannot be fetched it is degraded, and without any key the node is not ready.
func (s *Server) authService() *registry.Service {
	var cancel context.CancelFunc
	var ended chan struct{}
	var wants []string
	if s.auth.Shares() {
		wants = []string{cacheService}
	}
	return &registry.Service{
		Name:  "AuthService",
		Wants: wants,
		Start: func(ctx context.Context) error {
			var running context.Context
			running, cancel = context.WithCancel(context.Background())
			ended = make(chan struct{})
			started := make(chan struct{})
			go func() {
				defer close(ended)
				s.auth.Run(running, func() { close(started) })
			}()
			select {
			case <-started:
			case <-ctx.Done():
			}
			return nil
		},
		Stop: func(context.Context) error {
			cancel()
			<-ended
			return nil
		},
		Health: func() (registry.Status, string) {
			usable, detail := s.auth.Health()
			switch {
			case !usable:
				return registry.Unhealthy, detail
			case detail != "":
				return registry.Degraded, detail
			}
			return registry.Healthy, ""
		},
		Ready:  s.auth.Health, // one of its keys was there
		Figure: func() (string, int64) { return "verifications", int64(s.auth.Checked()) },
	}
}
