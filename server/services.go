package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"tapecast/ingest"
	"tapecast/ingest/demo"
	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/server/registry"
)

// services returns the parts of the gateway, by the names that operators know.
func (s *Server) services() []*registry.Service {
	return []*registry.Service{s.connectionManager(), s.kafkaConsumer(), s.rateLimiter(), s.authService(),
		s.connectionHandler()}
}

// connectionManager is the engine: sockets and loops. It starts last, and its stop is the drain.
func (s *Server) connectionManager() *registry.Service {
	return &registry.Service{
		Name:  "ConnectionManager",
		Needs: []string{"ConnectionHandler", "KafkaConsumer", "RateLimiter"},
		Start: s.startEngine,
		Stop:  s.drain,
		Health: func() (registry.Status, string) {
			e := s.engine.Load()
			if e == nil {
				return registry.Unhealthy, "the public port is not open"
			}
			return s.accept.health(e.Stats().AcceptFailed, time.Now())
		},
		Figure:   func() (string, int64) { return "connections", s.limit.Conns.Load() },
		Deadline: s.cfg.Server.Drain + 8*time.Second,
	}
}

func (s *Server) startEngine(context.Context) error {
	c := &s.cfg.Server
	e, err := loop.New(loop.Config{
		Addr: c.Listen, Path: c.Path, Loops: c.Loops, Pollers: c.Pollers,
		Table: s.table, Handler: s.handler.Engine(), Recall: s.recall, PositionsAt: s.positionsAt, Log: s.log,
		SnapshotBegins: s.handler.SnapshotBegins, SnapshotSent: s.handler.SnapshotSent,
		Wildcards: s.cfg.Limits.WildcardsPerConnection, RoomsPerWildcard: s.cfg.Limits.RoomsPerWildcard,
		MaxHead: int(c.MaxHead), MaxMessage: int(c.MaxMessage), MaxEarlyMessage: c.EarlyMessage(),
		MaxIncoming: int(s.cfg.Memory.Incoming),
		MaxConns:    s.cfg.MaxConnections(), Limited: s.handler.Limited,
		Trusted: s.cfg.Server.Proxy.Networks(), PerAddress: s.cfg.Limits.ConnectionsPerAddress,
		MaxPending: s.cfg.Limits.Pending,
		HalfOpen:   s.cfg.MaxHalfOpen(), HalfOpenPerAddress: s.cfg.Limits.HalfOpenPerAddress,
		HandshakeTimeout: c.HandshakeTimeout, PingEvery: c.PingEvery, PongTimeout: c.PongTimeout,
		SendBuffer: int(c.SendBuffer), NotSentLowat: int(c.NotSentLowat),
		TLS: s.certificate.tlsConfig(), TLSHandshakes: c.TLS.Handshakes, TLSWaiting: c.TLS.Waiting,
	})
	if err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return err
	}
	s.engine.Store(e)
	return nil
}

// kafkaConsumer reads the topics. A broker outage only degrades it: it continues by itself where it
// was, which is better than a restart.
func (s *Server) kafkaConsumer() *registry.Service {
	return &registry.Service{
		Name:   "KafkaConsumer",
		Speaks: true,
		Start:  s.startConsumer,
		Stop:   s.stopConsumer,
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
		Restart: true,
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

func (s *Server) startConsumer(ctx context.Context) (err error) {
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
	if s.embedded != nil && s.cfg.Ingest.Market {
		s.market, err = demo.StartMarket(ctx, s.brokers, demo.Users(), s.log)
	}
	return err
}

func (s *Server) stopConsumer(ctx context.Context) error {
	if s.market != nil {
		s.market.Stop()
		s.market = nil
	}
	if c := s.consumer.Load(); c != nil {
		return c.Stop(ctx)
	}
	return nil
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
	if s.embedded, err = demo.StartEmbedded(ctx, topics, "", s.log); err != nil {
		return err
	}
	s.brokers = s.embedded.Addrs()
	return nil
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

// authService checks tokens with keys that it holds, and fetches those of auth.jwks_url. If they
// cannot be fetched it is degraded, and without any key the node is not ready.
func (s *Server) authService() *registry.Service {
	var cancel context.CancelFunc
	var ended chan struct{}
	return &registry.Service{
		Name: "AuthService",
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
		Figure: func() (string, int64) { return "verifications", int64(s.auth.Checked()) },
	}
}

func (s *Server) connectionHandler() *registry.Service {
	return &registry.Service{
		Name:  "ConnectionHandler",
		Needs: []string{"AuthService", "RateLimiter"},
		Start: func(context.Context) error {
			if s.draining.Load() {
				return errors.New("the server is stopping")
			}
			s.handler.Accept(true)
			return nil
		},
		Stop: func(context.Context) error { s.handler.Accept(false); return nil },
		Health: func() (registry.Status, string) {
			if !s.handler.Accepting() {
				return registry.Unhealthy, "handshakes are refused"
			}
			return registry.Healthy, ""
		},
		Figure: func() (string, int64) { return "pending", s.limit.Pending.Load() },
	}
}

// acceptHealth reports whether sockets could not be accepted lately, as without descriptors.
type acceptHealth struct {
	mu     sync.Mutex
	failed uint64
	at     time.Time
}

// acceptMemory is how long a failure to accept is remembered.
const acceptMemory = 10 * time.Second

func (a *acceptHealth) health(failed uint64, now time.Time) (registry.Status, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if failed > a.failed {
		a.failed, a.at = failed, now
	}
	if !a.at.IsZero() && now.Sub(a.at) < acceptMemory {
		return registry.Degraded,
			"connections cannot be accepted (" + strconv.FormatUint(failed, 10) +
				" so far); is the descriptor limit too low?"
	}
	return registry.Healthy, ""
}
