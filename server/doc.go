// Package server is the gateway around the engine: configuration, logging, the
// wiring of loop, rooms and ingest, the JSON-RPC methods, services, auth, limits
// and the internal port. It does not know how bytes reach a socket.
//
// # Configuration
//
// Config is the tree of all that may be set. Load holds the YAML file, the
// TAPECAST_ variables and the flags against that tree, merges what is right
// through koanf (each source over the one before it, all over Default), and then
// checks what types do not show. Every fault comes with its place (line, variable
// or flag), its key and a remedy, and all of them come at once: a value that was
// refused is left at its default, and what would follow from that is not told.
//
//   - Classes are merged key by key; a list replaces the list below it.
//   - A variable is the path of a key in capitals, joined by underscores. As keys
//     hold underscores themselves, names are resolved against the tree. An empty
//     variable sets nothing. A name that is nearly a key's is a fault, and any other
//     unknown one a warning. Lists of texts are separated by commas; rooms and
//     routes are set in the file only. What Kubernetes puts into the environment
//     for a Service named tapecast is left alone.
//   - File names in the file are relative to it.
//
// server.tls makes the public port wss: ReloadCertificate, which SIGHUP calls,
// replaces the certificate that new handshakes see, while the keys of session
// tickets stay, so that clients of before can resume.
//
// A Config does not change once Load has returned it, so any goroutine may read it.
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
// adminGate decides who is served: a request's Host must be a literal address,
// localhost or a name of admin.hosts (/livez and /readyz take any), no page of another
// origin may ask for more than to read, and what writes wants admin.write and the token
// of admin.token_file, which pprof wants as well. What it refuses is counted by reason
// and logged once a minute. adminConns bounds connections, of which the oldest gives
// way, so that probes get in; deadlines end what is sent by halves; turns let requests
// that cost the loops something run one at a time, with a rest after each. ReloadAdmin,
// which SIGHUP calls, takes the token and the certificate of admin.tls again.
// admin.probes is a second port with /livez, /readyz, /health and /metrics alone.
//
// Goroutines that all others wait for have a heartbeat (rooms/heartbeat): the acceptor,
// TLS workers, pollers, loops, appenders, readers, the recaller and time look-ups. A
// watchdog looks every 100 ms. One that it finds in the same turn ten times over
// degrades its service and is named; after a hundred times /livez fails. Both come
// back by themselves. What waits is idle, not standing: a reader in librdkafka, or one
// whose appender takes nothing more (the appender is named then). /livez reads one
// atomic; nothing in it or in /health asks a loop or an appender.
//
// # Logging
//
// NewLogger's handler lets 20 records of one level and text through at once and
// one a second after that, and counts the others into the "suppressed" of the
// next, or of a summary two seconds later: an incident is told, a storm of
// 100,000 equal lines is not. Values of token-like keys, and whatever looks like
// a token in any text, are written as [redacted]. Loggers may be used from any
// goroutine.
//
// Pollers, loops, appenders and readers log, so a line must never be waited for:
// whoever logs formats it, and a LogQueue takes it. One goroutine writes. Beyond
// 1 MiB lines are dropped, and so are those that cannot be written; the next line
// that gets through says how many. The end of the process waits a second for a
// reader that stalls. A reader that is gone is an error like a full disk:
// cmd/tapecast ignores SIGPIPE.
//
// log.security is a log of its own, through a LogQueue of its own: bad tokens, limits,
// other users' rooms, refused requests to the internal port. Each kind and address
// has 5 lines a second, all together 500; "suppressed" counts the others.
package server
