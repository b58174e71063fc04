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
	accepted, refused := s.auth.Certificates()
	m.counter("tapecast_auth_certificates_total", "Clients that a certificate of theirs has let in, also again.",
		accepted)
	m.counter("tapecast_auth_certificates_refused_total", "Clients that asked to be let in by their certificate, and "+
		"have none or one that gives no user here.", refused)
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
	m.counter("tapecast_verify_calls_total", "Calls of auth.verify.", asked.Calls)
	m.counter("tapecast_verify_failed_total", "Such calls that did not check their token: no answer in time, or one "+
		"that says neither yes nor no.", asked.Failed)
	m.counter("tapecast_verify_odd_total", "Such calls whose end is not held against the service: too little time was "+
		"left, or it took exception to the request.", asked.Odd)
	m.counter("tapecast_verify_refused_total", "Tokens that auth.verify refused.", asked.Refused)
	m.counter("tapecast_verify_joined_total", "Clients that waited for the call of another one with the same token.",
		asked.Joined)
	m.gauge("tapecast_verify_calls", "Calls of auth.verify that are under way.", float64(asked.Flight))
	m.gauge("tapecast_verify_waiting", "Clients that wait for auth.verify.", float64(asked.Waiting))
	m.gauge("tapecast_verify_waiting_bytes", "What is kept for them.", float64(asked.Bytes))
	m.counter("tapecast_verify_waiting_refused_total", "Clients that could not wait for it, because too many did.",
		asked.Full)
}
