// Package upgrade reads the request that begins a WebSocket connection, and writes the answer:
// bytes in, a verdict and bytes out. It knows no socket, no connection and no other package of
// ours.
//
// # How a request passes through
//
// The goroutine that reads a connection passes to Scan.Answer all that has come so far. While the
// request is incomplete, the answer is status 0, and the next call continues after what was looked
// at. So a client that sends byte by byte costs no more than one that sends all at once. A complete
// request is parsed strictly (RFC 9112, RFC 6455 section 4.2), since a request that two readers
// understand differently can smuggle another one. A valid request goes to the caller's decide, at
// most once, and its Verdict becomes 101 or a refusal. So does a request for a stream of events, with its
// body, and becomes 200 (stream.go). A GET of a File is answered with it. Any other
// request is refused here, with the reason in plain text. Frames that came right after the request
// are left to the caller.
//
// # Why this is not a library's
//
// gobwas/ws has an Upgrader, but it reads a blocking stream, so each slow client would hold a
// goroutine. Or it would read a request from its start each time more of it has come. It also has
// no bound for a request as a whole. BenchmarkUpgrade measures ours beside it.
//
// A Scan belongs to the goroutine that reads its connection. Everything else is functions.
package upgrade
