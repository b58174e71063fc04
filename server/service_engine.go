package server

import (
	"context"
	"strconv"
	"time"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/server/client/js"
	"tapecast/server/registry"
)

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
			if n := e.Stats().AcceptFailed; s.accept.grew(n, time.Now()) {
				return registry.Degraded, "connections cannot be accepted (" + strconv.FormatUint(n, 10) +
					" so far); is the descriptor limit too low?"
			}
			return registry.Healthy, ""
		},
		Figure:   func() (string, int64) { return "connections", s.limit.Conns.Load() },
		Deadline: s.cfg.Server.Drain + 8*time.Second,
	}
}

// clientFiles returns the JavaScript client as the public port serves it.
func clientFiles() (files []*upgrade.File, err error) {
	for path, body := range map[string][]byte{"/client.js": js.Bundle, "/shared.js": js.Shared,
		"/stream.js": js.Stream} {
		f, err := upgrade.NewFile(path, "text/javascript; charset=utf-8", body)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *Server) startEngine(context.Context) error {
	c := &s.cfg.Server
	files, err := clientFiles()
	if err != nil {
		return err
	}
	e, err := loop.New(loop.Config{
		Addr: c.Listen, Path: c.Path, Files: files, Stream: c.Stream, Origins: s.handler.AllowsOrigin,
		Loops: c.Loops, Pollers: c.Pollers,
		Table: s.table, Handler: s.handler.Engine(), Recall: s.recall, PositionsAt: s.positionsAt, Log: s.log,
		SnapshotBegins: s.handler.SnapshotBegins, SnapshotSent: s.handler.SnapshotSent,
		RecallBegins: s.handler.RecallBegins, RecallGiven: s.handler.RecallGiven,
		BytesPerSecond: s.handler.BytesPerSecond, Metered: s.handler.Metered,
		Wildcards: s.cfg.Limits.WildcardsPerConnection, RoomsPerWildcard: s.cfg.Limits.RoomsPerWildcard,
		MaxHead: int(c.MaxHead), MaxMessage: int(c.MaxMessage), MaxEarlyMessage: c.EarlyMessage(),
		MaxIncoming: int(s.cfg.Memory.Incoming),
		MaxConns:    s.cfg.MaxConnections(), Limited: s.handler.Limited, Knock: s.handler.Knock,
		Forwarders: s.cfg.Server.Proxy.HTTP.Networks(), ForwardedField: s.cfg.Server.Proxy.HTTP.Header,
		Trusted: s.cfg.Server.Proxy.Networks(), PerAddress: s.cfg.Limits.ConnectionsPerAddress,
		MaxPending: s.cfg.Limits.Pending,
		HalfOpen:   s.cfg.MaxHalfOpen(), HalfOpenPerAddress: s.cfg.Limits.HalfOpenPerAddress,
		HandshakeTimeout: c.HandshakeTimeout, PingEvery: c.PingEvery, PongTimeout: c.PongTimeout,
		SendBuffer: int(c.SendBuffer), NotSentLowat: int(c.NotSentLowat),
		TLS: s.certificate.tlsConfig(), TLSHandshakes: c.TLS.Handshakes, TLSWaiting: c.TLS.Waiting,
		TLSEnded: s.tlsEnded(),
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
