package server

import (
	"context"
	"fmt"
	"time"

	"tapecast/server/registry"
)

// cacheService is the name of the service.
const cacheService = "Cache"

// cache keeps the connection to Redis, where the nodes share what auth.verify has said. Without it each
// node asks by itself, so it degrades health and nothing waits for it.
func (s *Server) cache() *registry.Service {
	var shared background
	var forged lately
	return &registry.Service{
		Name:     cacheService,
		Optional: true,
		Start: func(context.Context) error {
			shared.start(s.auth.RunShared)
			return nil
		},
		Stop: shared.stop,
		Health: func() (registry.Status, string) {
			is := s.auth.Shared()
			switch trouble := is.Trouble(); {
			case trouble != "":
				return registry.Degraded, "auth.redis: " + trouble + "; each node asks auth.verify by itself"
			case forged.grew(is.Forged, time.Now()):
				return registry.Degraded, fmt.Sprintf("auth.redis: %d entries were refused that no gateway with this "+
					"auth.redis.secret has stored: somebody else writes to Redis", is.Forged)
			}
			return registry.Healthy, ""
		},
		Figure: func() (string, int64) { return "hits", int64(s.auth.Shared().Hits) },
	}
}

func (s *Server) writeSharedMetrics(m metricWriter) {
	is := s.auth.Shared()
	put(m, "tapecast_redis_hits_total", is.Hits)
	put(m, "tapecast_redis_misses_total", is.Misses)
	put(m, "tapecast_redis_skipped_total", is.Skipped)
	put(m, "tapecast_redis_failed_total", is.Failed)
	put(m, "tapecast_redis_forged_total", is.Forged)
	put(m, "tapecast_redis_over_total", is.Over)
	put(m, "tapecast_redis_stored_total", is.Stored)
	put(m, "tapecast_redis_lost_total", is.Lost)
	put(m, "tapecast_redis_waiting", is.Waiting)
}
