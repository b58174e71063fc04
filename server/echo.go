package server

import (
	"log/slog"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/server/config"
)

// NewEcho returns an engine that answers every message with itself, through the code that serves
// clients. Conformance suites run against it. It accepts any path and needs no token. Messages over
// maxMessage close the connection with 1009.
func NewEcho(addr string, maxMessage config.Size, log *slog.Logger) (*loop.Engine, error) {
	return loop.New(loop.Config{Addr: addr, Handler: echoHandler{}, Log: log, MaxMessage: int(maxMessage)})
}

// echoHandler has no state: any goroutine may call it.
type echoHandler struct{}

// Open accepts every client, and permessage-deflate.
func (echoHandler) Open(*loop.Conn, *upgrade.Request) upgrade.Verdict {
	return upgrade.Verdict{Deflate: true}
}

// Admit accepts every message.
func (echoHandler) Admit(*loop.Conn) bool { return true }

// Flooded has nothing to count.
func (echoHandler) Flooded(*loop.Conn, loop.Pace) {}

// Message sends p back.
func (echoHandler) Message(c *loop.Conn, op byte, p []byte) { c.SendDeflated(op, p) }

// Timer is never set.
func (echoHandler) Timer(*loop.Conn) {}

// Payer returns nobody: there are no users.
func (echoHandler) Payer(*loop.Conn) rooms.Payer { return rooms.Payer{} }

// Closed has nothing to free.
func (echoHandler) Closed(*loop.Conn, int) {}
