package server

import (
	"cmp"
	"context"
	"time"

	"tapecast/ingest"
	"tapecast/rooms"
	"tapecast/server/registry"
)

// kafkaConsumer reads the topics. A broker outage only degrades it: it continues by itself where it
// was, which is better than a restart.
func (s *Server) kafkaConsumer() *registry.Service {
	return &registry.Service{
		Name:   "KafkaConsumer",
		Speaks: true,
		Start:  s.startConsumer,
		Stop:   func(ctx context.Context) error { return s.consumer.Load().Stop(ctx) },
		Health: func() (registry.Status, string) {
			c := s.consumer.Load()
			if c == nil {
				return registry.Unhealthy, "not reading"
			}
			if ok, detail := c.Health(); !ok {
				return registry.Degraded, detail
			}
			return registry.Healthy, ""
		},
		Figure: func() (string, int64) {
			if c := s.consumer.Load(); c != nil {
				return "processed", int64(c.Stats().Processed)
			}
			return "processed", 0
		},
		Ready: func() (bool, string) {
			c := s.consumer.Load()
			if c == nil {
				return false, "not reading"
			}
			_, detail := c.Health()
			return c.Ready(), cmp.Or(detail, "not every partition has been read up to where it was at the start")
		},
		Restart: registry.Restart{OnFailure: true, Budget: 10},
	}
}

// errNotReading answers requests that come before the consumer was started.
var errNotReading error = &rooms.NotNowError{Why: "the gateway does not read Kafka yet", RetryAfter: time.Second}

func (s *Server) recall(r *rooms.Recall) {
	if c := s.consumer.Load(); c != nil {
		c.Recall(r)
		return
	}
	r.Refuse(errNotReading)
}

func (s *Server) positionsAt(p *rooms.Pattern, ms int64, user string, done func(rooms.Positions, error)) {
	if c := s.consumer.Load(); c != nil {
		c.PositionsAt(p, ms, user, done)
		return
	}
	done(rooms.Positions{}, errNotReading)
}

func (s *Server) startConsumer(ctx context.Context) error {
	k := &s.cfg.Kafka
	c := ingest.New(ingest.Config{
		Brokers: s.brokers, Librdkafka: k.Librdkafka, Start: k.Start, Consumers: k.Consumers,
		DeadLetter: k.DeadLetter, KeepUnmatched: s.cfg.Ingest.Unmatched == "dead_letter",
		RequireAll: k.RequireTopics == "all", MaxRecord: int(k.MaxRecord), MetadataEvery: k.MetadataEvery,
		RecallMemory: int64(k.RecallMemory),
		// Zero means none here, and the default there.
		RecallBytes: cmp.Or(int64(s.cfg.Limits.RecallBytes), -1), LookBack: cmp.Or(k.LookBack, -1),
		Progress: &s.progress, Log: s.log,
	}, s.router, s.table)
	if err := c.Start(ctx); err != nil {
		return err
	}
	s.consumer.Store(c)
	return nil
}
