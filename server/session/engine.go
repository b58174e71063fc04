package session

import (
	"tapecast/loop"
	"tapecast/loop/upgrade"
)

// Engine is the handler as the engine calls it.
func (h *Handler) Engine() loop.Handler { return loopHandler{h} }

// loopHandler is the handler as the loop sees it.
type loopHandler struct{ h *Handler }

// Open decides on a handshake.
func (l loopHandler) Open(c *loop.Conn, r *upgrade.Request) upgrade.Verdict {
	v := l.h.open(c, r)
	v.Deflate = l.h.deflate
	return v
}

// Admit checks a message against the rate limit.
func (l loopHandler) Admit(c *loop.Conn) bool { return l.h.admitMessage(c) }

// Flooded counts a flood, and logs it.
func (l loopHandler) Flooded(c *loop.Conn, what loop.Pace) { l.h.flooded(c, what) }

// Message answers a message.
func (l loopHandler) Message(c *loop.Conn, op byte, p []byte) { l.h.message(c, op, p) }

// Timer acts on a session whose timer has fired.
func (l loopHandler) Timer(c *loop.Conn) { l.h.timer(c) }

// User returns the user of the connection.
func (l loopHandler) User(c *loop.Conn) string { return l.h.user(c) }

// Closed frees what the connection held.
func (l loopHandler) Closed(c *loop.Conn, code int) { l.h.closed(c, code) }
