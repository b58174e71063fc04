// Package server is the gateway around the engine. It wires loop, rooms and ingest, reports their
// state (/health, /metrics), and serves the internal port. It does not know how bytes reach a
// socket.
//
// # Where what is
//
// New makes a Server from a config.Config. Start, Shutdown and Close run it (server.go). Its parts
// are services (services.go), which a registry.Registry starts, watches and stops:
// ConnectionManager is the engine, ConnectionHandler answers clients, KafkaConsumer reads. A new
// service is an entry of Server.services. Figures for operators are in metrics.go and the metrics_
// files, and what each one is, in metrics.txt. Nothing is counted there: when /metrics is asked, each
// figure is taken from the part that counts it. Most have their name at the field that holds them, in its
// tag metric, or each if every loop, class or topic has its own.
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
//	web       docs: the pages for users; chart: the drawing of lines on pages
//	deploy    the alerts for Prometheus; a folder without code
//
// Some files are small parts of their own: drain.go spreads the closes when the node stops,
// service_revocations.go closes connections whose tokens are revoked, trimmer.go gives memory back when
// the node is quiet, debug.go is for measurements and tests (admin.direct), and echo.go is the server of
// conformance suites.
//
// server.tls makes the public port wss. ReloadCertificate, which SIGHUP calls, replaces the
// certificate for new handshakes. The keys of session tickets stay, so earlier clients can resume.
//
// # Health
//
// A service reports its own health. Beside that there is one list of troubles (trouble.go):
// counters of what was shed, refused or dropped, and conditions. Server checks them once
// a second. A counter that went up for ten checks degrades its service until it has been still for
// ten. A condition degrades it while it holds. Each has at most one log line a minute, with counts.
// A service that does not answer within half a second is degraded, and nothing waits for it.
//
// # The internal port
//
// Package admin decides which requests are served, and admin.go lays out the paths. ReloadAdmin,
// which SIGHUP calls, reads the token and the certificate of admin.tls again. admin.probes is a
// second port, only with /livez, /readyz, /health and /metrics.
//
// Goroutines that all others wait for have a heartbeat (rooms/heartbeat): the acceptor, TLS
// workers, pollers, loops, appenders, readers, the recaller and time look-ups. A watchdog looks
// every 100 ms. A goroutine that it finds in the same turn ten times in a row degrades its service
// and is named. After a hundred times /livez fails. Both recover by themselves. A goroutine that
// waits is idle, which is not a fault: a reader in librdkafka, or a reader whose appender takes
// nothing more (then the appender is named). /livez reads one atomic. Neither /livez nor /health
// asks a loop or an appender.
package server
