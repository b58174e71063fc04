// Package admin is the internal port: who is let in, how many at a time, and how long a
// request may take. What is answered under a path is its caller's: the server adds handlers
// to Paths, and makes a Port of them.
//
// Gate decides who is served: a request's Host must be a literal address, localhost or a name
// of admin.hosts (/livez and /readyz take any), no page of another origin may ask for more
// than to read, and what writes wants admin.write and the token of admin.token_file, which
// pprof wants as well. What it refuses is counted by reason and logged once a minute. A Port
// bounds connections, of which the oldest gives way, so that probes get in, unless a request
// keeps its own (KeepConn); deadlines end what is sent by halves (GiveTime moves them). Turns
// let requests that cost the loops something run one at a time, with a rest after each.
//
// Any goroutine may use a Gate, Turns and a Port. Paths are laid out by one, before the start.
package admin
