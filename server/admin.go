package server

import (
	"net/http"

	"tapecast/server/admin"
)

// probePaths returns the paths that orchestrators and Prometheus ask for.
func (s *Server) probePaths() *admin.Paths {
	p := admin.NewPaths()
	p.Get("/health", s.serveHealth)
	p.Get("/livez", s.serveLivez)
	p.Get("/readyz", s.serveReadyz)
	p.Get("/metrics", s.scrapes.Guard(s.serveMetrics))
	return p
}

func (s *Server) adminPort() *admin.Port {
	p := s.probePaths()
	// It asks every loop, and walks all members.
	p.Get("/connections", admin.NewTurns(s.gate, 1, 10).Guard(s.serveConnections))
	p.Add("/publish", s.gate.Writes(s.servePublish), http.MethodPost)
	p.Add("/disconnect", s.gate.Writes(admin.NewTurns(s.gate, 4, 1).Guard(s.serveDisconnect)), http.MethodPost)
	if s.cfg.Admin.Direct {
		streams := admin.NewTurns(s.gate, 16, 0)
		p.Hide("/debug/stand", s.gate.Writes(s.serveStand), http.MethodPost)
		p.Hide("/debug/append", s.gate.Writes(streams.Guard(s.direct.serve)), http.MethodPost)
	}
	if s.cfg.Admin.Pprof {
		p.Pprof(s.gate)
	}
	return p.Port(s.gate, "admin.listen", s.adminCertificate.tlsConfig())
}

func (s *Server) writeAdminMetrics(m metricWriter) {
	open := s.admin.Connections() + s.probes.Connections()
	m.gauge("tapecast_admin_connections", "Connections to the internal port, and that of probes.", float64(open))
	m.counter("tapecast_admin_connections_dropped_total", "Such connections closed because there were too many.",
		s.adminDropped())
	m.family("tapecast_admin_refused_total", "counter", "Requests that the internal port refused, by reason.")
	for why := range admin.Refusals {
		m.labelled("tapecast_admin_refused_total", "reason", why.String(), float64(s.gate.Refused(why)))
	}
}

func (s *Server) adminDropped() uint64 { return s.admin.Dropped() + s.probes.Dropped() }
