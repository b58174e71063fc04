// Package admin is the internal port: which requests are let in, how many at a time, and how long
// one may take. The answers are the caller's: the server adds handlers to Paths and makes a Port of
// them.
//
// Gate decides which requests are served. The Host of a request must be a literal address,
// localhost or a name of admin.hosts (/livez and /readyz accept any). A page of another origin may
// only read. A request that writes needs admin.write and the token of admin.token_file, and pprof
// needs the token too. Refused requests are counted by reason and logged once a minute. A Port
// bounds connections: the oldest one gives way, so that probes get in, unless a request keeps it
// (KeepConn). Deadlines end incomplete requests (GiveTime moves them). Turns runs requests that
// cost the loops something one at a time, with a rest after each: a turn here is a request's.
//
// Any goroutine may use a Gate, Turns and a Port. One goroutine fills Paths, before the start.
package admin
