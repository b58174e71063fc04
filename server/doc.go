// Package server is the gateway around the engine: it wires loop, rooms and ingest, says
// how they do (/health, /metrics), and serves the internal port. It does not know how bytes
// reach a socket.
//
// # Where what is
//
// New makes a Server from a config.Config; Start, Shutdown and Close run it (server.go). Its
// parts are services (services.go), which a registry.Registry starts, watches and stops:
// ConnectionManager is the engine, ConnectionHandler answers clients, KafkaConsumer reads.
// A new service is an entry of Server.services. What an operator sees of a figure is in
// metrics.go and the metrics_ files: nothing is counted there, each figure is taken from
// the part that counts it, when /metrics is asked.
//
// A client's request goes from its poller to the session.Handler, which the engine calls.
//
//	admin     the internal port: who is let in
//	auth      tokens: checked, and made
//	config    the keys, their checks and defaults
//	jsontext  what strangers' JSON is asked before it is believed
//	limits    what clients may cause: counts, paces, budgets
//	registry  services: order, health, restarts
//	logging   the log and the security log
//	session   what clients may call: handshake, methods, replies
//
// server.tls makes the public port wss: ReloadCertificate, which SIGHUP calls,
// replaces the certificate that new handshakes see, while the keys of session
// tickets stay, so that clients of before can resume.
//
// # Health
//
// A service says itself whether it is healthy. Beside that there is one list of
// troubles (troubles.go): counters of what was shed, refused or dropped, and
// conditions. A counter that went up for ten turns of a second degrades its service
// until it has been quiet for ten; a condition does while it holds. Each has one
// log line a minute at most, with counts. A service that does not say how it does
// within half a second is degraded, and nobody waits for it.
//
// # The internal port
//
// Who is served is decided in package admin; what is served is laid out in admin.go.
// ReloadAdmin, which SIGHUP calls, takes the token and the certificate of admin.tls again.
// admin.probes is a second port with /livez, /readyz, /health and /metrics alone.
//
// Goroutines that all others wait for have a heartbeat (rooms/heartbeat): the acceptor,
// TLS workers, pollers, loops, appenders, readers, the recaller and time look-ups. A
// watchdog looks every 100 ms. One that it finds in the same turn ten times over
// degrades its service and is named; after a hundred times /livez fails. Both come
// back by themselves. What waits is idle, not standing: a reader in librdkafka, or one
// whose appender takes nothing more (the appender is named then). /livez reads one
// atomic; nothing in it or in /health asks a loop or an appender.
package server
