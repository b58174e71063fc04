package server

import "time"

// writeKeyMetrics writes the metrics of the keys that tokens are checked with.
func (s *Server) writeKeyMetrics(m metricWriter) {
	m.gauge("tapecast_auth_keys", "Keys that tokens are checked with.", float64(s.auth.Keys()))
	known := s.auth.Known()
	m.counter("tapecast_token_cache_hits_total", "Tokens that were known to be good: not checked again.", known.Hits)
	m.counter("tapecast_token_cache_misses_total", "Tokens that were not known, and had to be checked.", known.Misses)
	m.gauge("tapecast_token_cache_entries", "Tokens that are known to be good.", float64(known.Entries))
	m.gauge("tapecast_token_cache_bytes", "Memory of these, estimated.", float64(known.Bytes))
	of := s.auth.Source()
	m.counter("tapecast_jwks_fetches_total", "Fetches of auth.jwks_url.", of.Fetches)
	m.counter("tapecast_jwks_failed_total", "Such fetches that failed.", of.Failed)
	if !of.Took.IsZero() {
		m.gauge("tapecast_jwks_age_seconds", "Time since the last such fetch that succeeded.",
			time.Since(of.Took).Seconds())
	}
	m.gauge("tapecast_auth_waiting", "Tokens that wait until their key is fetched.", float64(of.Waiting))
	m.counter("tapecast_auth_waiting_refused_total", "Tokens that could not wait, because too many did.", of.Full)
	m.family("tapecast_breaker_open", "gauge", "1 if a breaker is open, so that a system that fails is not asked; "+
		"0.5 if it is tried again; 0 if it is closed.")
	m.labelled("tapecast_breaker_open", "breaker", "jwks",
		map[string]float64{"open": 1, "half-open": 0.5}[of.Breaker])
}
