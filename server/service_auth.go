package server

import (
	"context"

	"tapecast/server/registry"
)

// authService checks tokens with keys that it holds, and fetches those of auth.jwks_url. If they
// cannot be fetched it is degraded, and without any key the node is not ready.
func (s *Server) authService() *registry.Service {
	var keys background
	var wants []string
	if s.auth.Shares() {
		wants = []string{cacheService}
	}
	return &registry.Service{
		Name:  "AuthService",
		Wants: wants,
		Start: func(ctx context.Context) error {
			started := make(chan struct{})
			keys.start(func(ctx context.Context) { s.auth.Run(ctx, func() { close(started) }) })
			select {
			case <-started:
			case <-ctx.Done():
			}
			return nil
		},
		Stop: keys.stop,
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
