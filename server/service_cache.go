package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tapecast/server/registry"
)

// cacheService is the name of the service.
const cacheService = "Cache"

// cache keeps the connection to Redis, where the nodes share what auth.verify has said. Without it each
// node asks by itself, so it degrades health and nothing waits for it.
func (s *Server) cache() *registry.Service {
	var cancel context.CancelFunc
	var ended sync.WaitGroup
	var forged lately
	return &registry.Service{
		Name:     cacheService,
		Optional: true,
		Start: func(context.Context) error {
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			ended.Go(func() { s.auth.RunShared(ctx) })
			return nil
		},
		Stop: func(context.Context) error {
			if cancel != nil {
				cancel()
			}
			ended.Wait()
			return nil
		},
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
	m.counter("tapecast_redis_hits_total", "Tokens that auth.redis says another node has asked about.", is.Hits)
	m.counter("tapecast_redis_misses_total", "Tokens that were looked up in auth.redis, and are not there.", is.Misses)
	m.counter("tapecast_redis_skipped_total", "Tokens that were not looked up there, because Redis fails or too "+
		"little time was left.", is.Skipped)
	m.counter("tapecast_redis_failed_total", "Commands to auth.redis that failed: look-ups, stores, and those that "+
		"try it each second.", is.Failed)
	m.counter("tapecast_redis_forged_total", "Entries of auth.redis that were refused, since no gateway with "+
		"auth.redis.secret has stored them.", is.Forged)
	m.counter("tapecast_redis_over_total", "Entries of auth.redis that were not used, since their time is over, or "+
		"further ahead than it can be.", is.Over)
	m.counter("tapecast_redis_stored_total", "Answers of auth.verify that were stored for other nodes.", is.Stored)
	m.counter("tapecast_redis_lost_total", "Answers of auth.verify that were not stored: too large, too many at a "+
		"time, or Redis did not take them.", is.Lost)
	m.gauge("tapecast_redis_waiting", "Answers of auth.verify that wait to be stored.", float64(is.Waiting))
}
