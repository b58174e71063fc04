package server

import (
	"log/slog"
	"net"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/server/config"
)

// Echo answers every message with itself, through the engine that serves clients. Conformance
// suites run against it. It accepts any path and needs no token.
type Echo struct{ engine *loop.Engine }

// NewEcho returns an echo. Messages over maxMessage close the connection with 1009.
func NewEcho(addr string, maxMessage config.Size, log *slog.Logger) (*Echo, error) {
	e, err := loop.New(loop.Config{Addr: addr, Handler: echoHandler{}, Log: log, MaxMessage: int(maxMessage)})
	if err != nil {
		return nil, err
	}
	return &Echo{e}, nil
}

// Start opens the port.
func (e *Echo) Start() error { return e.engine.Start() }

// Addr returns its address, once started.
func (e *Echo) Addr() net.Addr { return e.engine.Addr() }

// Stop ends all connections at once.
func (e *Echo) Stop() error { return e.engine.Stop() }

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

// User returns "": there are no users.
func (echoHandler) User(*loop.Conn) string { return "" }

// Closed has nothing to free.
func (echoHandler) Closed(*loop.Conn, int) {}
