// Package logging writes the log and the security log. It is a leaf: it knows nothing of what is
// logged, except what a token looks like.
//
// New's handler lets 20 records of one level and text through at once, and one a second after that.
// The others are counted in the "suppressed" of the next record, or of a summary two seconds later.
// So an incident is reported, and a storm of 100,000 equal lines is not. Values of token-like keys,
// and anything that looks like a token in a text, are written as [redacted]. Any goroutine may use
// a logger.
//
// Pollers, loops, appenders and readers log, so they must never wait for a line. The caller formats
// the line and a Queue takes it. One goroutine writes. Lines beyond 1 MiB, and lines that cannot be
// written, are dropped, and the next line says how many. At its end the process waits a second for
// a reader that stalls. A reader that is gone is an error like a full disk: cmd/tapecast ignores
// SIGPIPE.
//
// Security is a log of its own (log.security) with a Queue of its own: bad tokens, limits, other
// users' rooms, refused requests to the internal port. Each kind and address has 5 lines a second,
// and all together 500. "suppressed" counts the others. Nil and the zero value write nothing.
package logging
