package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"tapecast/ingest"
	"tapecast/server/config"
	"tapecast/server/limits/tiers"
	"tapecast/server/registry"
)

// tierList is the name of the service.
const tierList = "TierList"

// tierRows follows the topic of limits.tiers_topic. Until it was read the node is not ready, and lets no
// client in. When it cannot be read later, the rows stay.
func (s *Server) tierRows() *registry.Service {
	var rounds background
	return &registry.Service{
		Name: tierList,
		Start: func(context.Context) error {
			r := ingest.NewReplica(ingest.ReplicaConfig{Brokers: s.brokers, Librdkafka: s.cfg.Kafka.Librdkafka,
				Topic: s.cfg.Limits.TiersTopic, To: s.tiers, Log: s.log})
			if err := r.Start(); err != nil {
				return err
			}
			s.tierReplica.Store(r)
			rounds.start(s.measureAgain)
			return nil
		},
		Stop: func(ctx context.Context) error {
			if rounds.cancel == nil {
				return nil
			}
			return errors.Join(rounds.stop(ctx), s.tierReplica.Load().Stop(ctx))
		},
		Health: s.tierHealth,
		Ready: func() (bool, string) {
			_, detail := s.tierHealth()
			return s.tiers.Read(), detail
		},
		Figure: func() (string, int64) { return "rows", int64(s.tiers.Stats().Rows) },
	}
}

// newTiers returns the rows of limits.tiers_topic. nil: there is no such topic.
func (s *Server) newTiers() *tiers.List {
	if s.cfg.Limits.TiersTopic == "" {
		return nil
	}
	return tiers.NewList(s.cfg, s.limit.SetTiers, s.log)
}

// setLimits takes limits.tiers, and the limits of accounts without a tier. The rows of the topic stay.
func (s *Server) setLimits(fresh *config.Limits) error {
	if s.tiers == nil {
		return s.limit.SetTiers(fresh)
	}
	return s.tiers.SetLimits(fresh)
}

// measureAgain has all connections take their limits.bytes_per_second again each time that rows have
// changed. What changes during a round is part of the next one.
func (s *Server) measureAgain(ctx context.Context) {
	for {
		select {
		case <-s.tiers.Changed():
		case <-ctx.Done():
			return
		}
		begun := time.Now()
		s.measure()
		if !sleep(ctx, min(roundRest, 4*time.Since(begun))) {
			return
		}
	}
}

func (s *Server) tierHealth() (registry.Status, string) {
	list, read := s.tiers.Stats(), s.tierReplica.Load().Stats()
	switch {
	case !list.Read:
		return registry.Unhealthy, "the node is not ready, since limits.tiers_topic was not read yet: " +
			cmp.Or(read.Why, "it is being read")
	case read.Stale > staleAfter:
		return registry.Degraded, fmt.Sprintf("what has changed in limits.tiers_topic in the last %d s may not hold "+
			"yet: %s", int(read.Stale.Seconds()), cmp.Or(read.Why, "it is not read to its end"))
	case list.Bad > 0:
		return registry.Degraded, fmt.Sprintf("%d records of limits.tiers_topic do not hold, and their tiers are as "+
			"they were, such as %s; produce a good one, or one without a value, with the same key", list.Bad,
			list.BadText)
	case list.Lost > 0:
		return registry.Degraded, fmt.Sprintf("%d records of limits.tiers_topic do not hold, since it has too many "+
			"keys: remove those that are no tiers by records without a value", list.Lost)
	}
	return registry.Healthy, ""
}

func (s *Server) writeTierMetrics(m metricWriter) {
	list, read := s.tiers.Stats(), s.tierReplica.Load().Stats()
	put(m, "tapecast_tier_rows", list.Rows)
	put(m, "tapecast_tier_rows_bad", list.Bad)
	put(m, "tapecast_tier_rows_lost", list.Lost)
	put(m, "tapecast_tier_records_total", list.Records)
	put(m, "tapecast_tier_records_bad_total", list.BadRecords)
	put(m, "tapecast_tier_readings_total", read.Readings)
	put(m, "tapecast_tier_stale_seconds", read.Stale.Seconds())
}
