package loop

import "tapecast/loop/upgrade"

// Handler decides what connections may do; the loop delivers. package server
// is one, the echo of the command line another.
type Handler interface {
	// Open decides on an upgrade request. It runs on a poller's goroutine (or
	// what stands for it right after a TLS handshake: see the package doc) and must
	// not block; r is valid only during the call. What it asks of c happens after
	// the answer has been sent.
	Open(c *Conn, r *upgrade.Request) upgrade.Verdict

	// Admit is asked before each message, when nothing has been done with it but to
	// receive it: neither inflated nor checked. false drops the message. It runs on
	// the goroutine that Message would, and is followed by it.
	Admit(c *Conn) bool

	// Message is one complete text or binary message; text is valid UTF-8. It
	// runs on the poller's goroutine, for one connection in order. p is valid
	// only during the call.
	Message(c *Conn, op byte, p []byte)

	// Flooded is told that the loop closes the connection (1008) for a flood of what no
	// request is. It runs on the goroutine that reads and must not block.
	Flooded(c *Conn, what Pace)

	// Timer is called when the time set by SetTimer or SetTimeout has come, and early
	// where the clock was set (SetTimer), on the loop's goroutine.
	Timer(c *Conn)

	// User names the user who pays for what the connection causes; "" before it has
	// authenticated, and after Closed. It runs on the loop's goroutine and must not block.
	User(c *Conn) string

	// Closed is called once for each connection that Open has seen, after it
	// has left its rooms, on the loop's goroutine. code is what the close
	// frame said, 1005 for none, 1006 where there was no close frame.
	Closed(c *Conn, code int)
}
