package server

import "time"

// writeKeyMetrics writes the metrics of the keys that tokens are checked with.
func (s *Server) writeKeyMetrics(m metricWriter) {
	put(m, "tapecast_auth_keys", s.auth.Keys())
	known := s.auth.Known()
	put(m, "tapecast_token_cache_hits_total", known.Hits)
	put(m, "tapecast_token_cache_misses_total", known.Misses)
	put(m, "tapecast_token_cache_entries", known.Entries)
	put(m, "tapecast_token_cache_bytes", known.Bytes)
	accepted, refused := s.auth.Certificates()
	put(m, "tapecast_auth_certificates_total", accepted)
	put(m, "tapecast_auth_certificates_refused_total", refused)
	of := s.auth.Source()
	put(m, "tapecast_jwks_fetches_total", of.Fetches)
	put(m, "tapecast_jwks_failed_total", of.Failed)
	if !of.Took.IsZero() {
		put(m, "tapecast_jwks_age_seconds", time.Since(of.Took).Seconds())
	}
	put(m, "tapecast_auth_waiting", of.Waiting)
	put(m, "tapecast_auth_waiting_refused_total", of.Full)
	m.family("tapecast_breaker_open")
	state := map[string]float64{"open": 1, "half-open": 0.5}
	m.labelled("tapecast_breaker_open", "breaker", "jwks", state[of.Breaker])
	asked := s.auth.Service()
	m.labelled("tapecast_breaker_open", "breaker", "verify", state[asked.Breaker])
	nodes := s.auth.Shared()
	if c := s.consumer.Load(); c != nil {
		m.labelled("tapecast_breaker_open", "breaker", "dead_letters", state[c.LetterBreaker()])
	}
	m.labelled("tapecast_breaker_open", "breaker", "redis", state[nodes.Reads])
	m.labelled("tapecast_breaker_open", "breaker", "redis_stores", state[nodes.Writes])
	put(m, "tapecast_verify_calls_total", asked.Calls)
	put(m, "tapecast_verify_failed_total", asked.Failed)
	put(m, "tapecast_verify_odd_total", asked.Odd)
	put(m, "tapecast_verify_refused_total", asked.Refused)
	put(m, "tapecast_verify_joined_total", asked.Joined)
	put(m, "tapecast_verify_calls", asked.Flight)
	put(m, "tapecast_verify_waiting", asked.Waiting)
	put(m, "tapecast_verify_waiting_bytes", asked.Bytes)
	put(m, "tapecast_verify_waiting_refused_total", asked.Full)
}
