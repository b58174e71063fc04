// Package upgrade reads the request with which a WebSocket connection begins, and writes
// the answer: bytes in, a verdict and bytes out. It knows no socket, no connection and no
// other package of ours.
//
// # How a request passes through
//
// The goroutine that reads a connection gives Scan.Answer all that has come so far. While
// the request is not complete, the answer is status 0, and the next call goes on behind what
// was looked through: a client that sends byte by byte costs no more than one that sends
// all at once. A complete request is taken apart strictly (RFC 9112, RFC 6455 section 4.2):
// what two readers see differently is how requests are smuggled. One that is in order goes
// to the caller's decide, at most once, and its Verdict becomes 101 or a refusal. Everything
// else is refused here, with the reason in plain text. Frames that came right behind the
// request stay the caller's.
//
// # Why this is not a library's
//
// gobwas/ws has an Upgrader, but it reads a blocking stream: with it each client that is
// slow to ask would hold a goroutine. It would read a request from its start again whenever
// more of it has come, and it has no bound for all of the request. BenchmarkUpgrade measures
// ours beside it.
//
// A Scan belongs to the goroutine that reads its connection. The rest is functions.
package upgrade
