package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"tapecast/ingest"
	"tapecast/server/registry"
)

const (
	// revocationList is the name of the service.
	revocationList = "RevocationList"
	// staleAfter is how long it may be unknown whether all revocations are known. A look comes every
	// second, and may take three.
	staleAfter = 4 * time.Second
	// roundWait is how long a round of all connections may take. Then its loops stand, and health
	// says so.
	roundWait = 10 * time.Second
	// roundRest bounds the rest between two rounds, which is four times as long as the last one took.
	roundRest = 300 * time.Millisecond
)

// revocations follows the topic of auth.revocations, and closes connections whose tokens are revoked.
// Until the topic was read the node is not ready, and lets no client in. When it cannot be read later,
// what was revoked stays so.
func (s *Server) revocations() *registry.Service {
	var rounds background
	return &registry.Service{
		Name: revocationList,
		Start: func(context.Context) error {
			r := ingest.NewReplica(ingest.ReplicaConfig{Brokers: s.brokers, Librdkafka: s.cfg.Kafka.Librdkafka,
				Topic: s.cfg.Auth.Revocations, To: s.handler.Revoked(), Log: s.log})
			if err := r.Start(); err != nil {
				return err
			}
			s.replica.Store(r)
			rounds.start(s.closeRevoked)
			return nil
		},
		Stop: func(ctx context.Context) error {
			if rounds.cancel == nil {
				return nil
			}
			return errors.Join(rounds.stop(ctx), s.replica.Load().Stop(ctx))
		},
		Health: s.revocationHealth,
		Ready: func() (bool, string) {
			_, detail := s.revocationHealth()
			return s.handler.Revoked().Stats().Read, detail
		},
		Figure: func() (string, int64) { return "entries", int64(s.handler.Revoked().Stats().Entries) },
	}
}

func (s *Server) revocationHealth() (registry.Status, string) {
	list, read := s.handler.Revoked().Stats(), s.replica.Load().Stats()
	switch {
	case !list.Read:
		return registry.Unhealthy, "no client is let in, since auth.revocations was not read yet: " +
			cmp.Or(read.Why, "it is being read")
	case list.Lost > 0:
		return registry.Unhealthy, fmt.Sprintf("%d records of auth.revocations do not hold, since there are too many: "+
			"lift what is no longer needed by records without a value", list.Lost)
	case read.Stale > staleAfter:
		return registry.Degraded, fmt.Sprintf("what was revoked in the last %d s may not be known: %s",
			int(read.Stale.Seconds()), cmp.Or(read.Why, "auth.revocations is not read to its end"))
	case list.Bad > 0:
		return registry.Degraded, fmt.Sprintf("%d records of auth.revocations are not understood, such as %s; "+
			"produce a good one, or one without a value, with the same key", list.Bad, list.BadText)
	}
	return registry.Healthy, ""
}

// closeRevoked judges all connections again each time that something was revoked. What is revoked
// during a round is part of the next one.
func (s *Server) closeRevoked(ctx context.Context) {
	list := s.handler.Revoked()
	for {
		select {
		case <-list.Changed():
		case <-ctx.Done():
			return
		}
		begun, before := time.Now(), list.Stats().Closed
		for s.engine.Load() == nil { // its port may be open already
			if !sleep(ctx, 10*time.Millisecond) {
				return
			}
		}
		s.engine.Load().Each(s.handler.JudgeAgain, roundWait)
		if n := list.Stats().Closed - before; n > 0 {
			s.log.Info("connections closed: their tokens are revoked", "connections", n, "took",
				time.Since(begun).Round(time.Millisecond).String())
		}
		if !sleep(ctx, min(roundRest, 4*time.Since(begun))) {
			return
		}
	}
}

// sleep waits, and reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) writeRevocationMetrics(m metricWriter) {
	list, read := s.handler.Revoked().Stats(), s.replica.Load().Stats()
	put(m, "tapecast_revocations", list.Entries)
	put(m, "tapecast_revocations_lost", list.Lost)
	put(m, "tapecast_revocations_bad", list.Bad)
	put(m, "tapecast_revocations_bad_total", list.BadRecords)
	put(m, "tapecast_revocations_read_total", list.Records)
	put(m, "tapecast_revocations_readings_total", read.Readings)
	put(m, "tapecast_revocations_refused_total", list.Refused)
	put(m, "tapecast_revocations_closed_total", list.Closed)
	put(m, "tapecast_revocations_stale_seconds", read.Stale.Seconds())
}
