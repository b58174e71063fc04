package server

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"tapecast/ingest/demo"
	"tapecast/server/registry"
)

// market is the demo's: it writes generated trades into the embedded broker. Clients are served without
// it. Without a reader it would only fill the broker's memory.
func (s *Server) market() *registry.Service {
	var m atomic.Pointer[demo.Market]
	var fails lately
	counts := func() (made, failed uint64) {
		if made := m.Load(); made != nil {
			return made.Counts()
		}
		return 0, 0
	}
	return &registry.Service{
		Name:    "Market",
		Needs:   []string{"KafkaConsumer"},
		Follows: true, Optional: true,
		Start: func(ctx context.Context) error {
			made, err := demo.StartMarket(ctx, s.brokers, demo.Users(), s.log)
			m.Store(made)
			return err
		},
		Stop: func(context.Context) error {
			if made := m.Swap(nil); made != nil {
				made.Stop()
			}
			return nil
		},
		Health: func() (registry.Status, string) {
			if _, failed := counts(); fails.grew(failed, time.Now()) {
				return registry.Degraded, strconv.FormatUint(failed, 10) + " of its records could not be produced"
			}
			return registry.Healthy, ""
		},
		Figure:  func() (string, int64) { made, _ := counts(); return "records", int64(made) },
		Restart: registry.Restart{OnFailure: true},
	}
}

func (s *Server) startEmbedded(ctx context.Context) (err error) {
	if !s.cfg.Demo() {
		return nil
	}
	topics := demo.Topics()
	for _, f := range s.table.Feeds() {
		if !slices.ContainsFunc(topics, func(t demo.TopicSpec) bool { return t.Name == f.Topic() }) {
			topics = append(topics, demo.TopicSpec{Name: f.Topic(), Partitions: 3})
		}
	}
	for _, name := range []string{s.cfg.Auth.Revocations, s.cfg.Limits.TiersTopic} {
		if name != "" {
			topics = append(topics, demo.TopicSpec{Name: name, Partitions: 1})
		}
	}
	if s.embedded, err = demo.StartEmbedded(ctx, topics, "", s.log); err != nil {
		return err
	}
	s.brokers = s.embedded.Addrs()
	return nil
}
