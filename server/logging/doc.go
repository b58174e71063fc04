// Package logging writes the log and the security log. It is a leaf: it knows nothing of what
// is logged, except what a token looks like.
//
// New's handler lets 20 records of one level and text through at once and one a second after
// that, and counts the others into the "suppressed" of the next, or of a summary two seconds
// later: an incident is told, a storm of 100,000 equal lines is not. Values of token-like keys,
// and whatever looks like a token in any text, are written as [redacted]. Loggers may be used
// from any goroutine.
//
// Pollers, loops, appenders and readers log, so a line must never be waited for: whoever logs
// formats it, and a Queue takes it. One goroutine writes. Beyond 1 MiB lines are dropped, and
// so are those that cannot be written; the next line that gets through says how many. The end
// of the process waits a second for a reader that stalls. A reader that is gone is an error
// like a full disk: cmd/tapecast ignores SIGPIPE.
//
// Security is a log of its own (log.security), through a Queue of its own: bad tokens, limits,
// other users' rooms, refused requests to the internal port. Each kind and address has 5 lines
// a second, all together 500; "suppressed" counts the others. Nil and the zero value write
// nothing.
package logging
