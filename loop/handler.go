package loop

import (
	"tapecast/loop/upgrade"
	"tapecast/rooms"
)

// Handler decides what connections may do, and the loop delivers. Package server has one, and the
// echo of the command line is another.
type Handler interface {
	// Open decides on an upgrade request. It runs on a poller's goroutine, or on a handshake's
	// worker right after a TLS handshake, and must not block. r is valid only during the call. What
	// it asks of c happens after the answer has been sent.
	Open(c *Conn, r *upgrade.Request) upgrade.Verdict

	// Admit is called before each message, when nothing has been done with it yet except to receive
	// it: it is neither inflated nor checked. If it returns false, the message is dropped, else
	// Message follows on the same goroutine.
	Admit(c *Conn) bool

	// Message handles one complete text or binary message. Text is valid UTF-8. It runs on the
	// poller's goroutine, in order for one connection. p is valid only during the call.
	Message(c *Conn, op byte, p []byte)

	// Flooded is called when the loop closes the connection (1008) because of too many frames that
	// are not requests. It runs on the goroutine that reads and must not block.
	Flooded(c *Conn, what Pace)

	// Timer is called on the loop's goroutine at the time that was set by SetTimer or SetTimeout.
	// It may be called early if the wall clock was set (see SetTimer).
	Timer(c *Conn)

	// Payer returns who pays for what the connection causes. It is nobody before the client has
	// authenticated and after Closed. It runs on the loop's goroutine and must not block.
	Payer(c *Conn) rooms.Payer

	// Closed is called once for each connection that Open has seen, after it has left its rooms, on
	// the loop's goroutine. code is the code of the close frame: 1005 if it had none, 1006 if there
	// was no close frame.
	Closed(c *Conn, code int)
}
