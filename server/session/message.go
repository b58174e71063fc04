package session

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"tapecast/loop"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
)

// admitMessage counts a message against the pace before anything else is done with it, and closes a
// client that is far above it. It runs where message does.
func (h *Handler) admitMessage(c conn) bool {
	s := sessionOf(c)
	if s == nil {
		return false
	}
	h.limit.Requests.Add(1)
	s.mu.Lock()
	ph, user := s.phase, s.user
	pace := h.limit.Row(s.marks.tier()).Take(&s.paid, h.elapsed(time.Now()))
	s.mu.Unlock()
	switch {
	case ph == phClosed:
		return false
	case pace == limits.Far:
		h.logLimit(c, h.limit.Hit(limits.Messages), user)
		h.hangUp(c, s, idNull, fault{code: wire.CodeRate, text: rateLimited}, wire.CloseRate, "rate limited")
		return false
	}
	return true
}

// flooded is called when the loop closes a connection for too many frames beside requests.
func (h *Handler) flooded(c conn, what loop.Pace) {
	h.logLimit(c, h.limit.Hit(limits.OfPace[what]), h.user(c))
}

// message answers one message of a client that was admitted. It runs on the goroutine of
// the connection's poller; p is valid only during the call.
func (h *Handler) message(c conn, opcode byte, p []byte) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	ph, user := s.phase, s.user
	pace := h.limit.Row(s.marks.tier()).Verdict(s.paid, h.elapsed(now))
	s.mu.Unlock()
	switch {
	case ph == phClosed:
		return
	case opcode != wire.OpText:
		h.hangUp(c, s, idNull, badRequest("requests are text messages"),
			wire.CloseUnsupported, "binary messages are not supported")
		return
	}
	q := getRequest()
	defer putRequest(q)
	if len(p) > keepBytes && !h.affordsParse(c, s, q, p, user, pace, h.elapsed(now)) {
		return
	}
	f := q.parse(p)
	switch {
	case pace != limits.OK:
		h.overLimit(c, limits.Messages, user)
		h.fail(c, q, fault{code: wire.CodeRate, text: rateLimited})
	case f.is():
		h.failParsed(c, q, user, f)
	case ph == phAsking && q.op != opAuthenticate: // such as a client that does not wait for authenticated
		h.failParsed(c, q, user, fault{code: wire.CodeNotNow, retryAfter: time.Second,
			text: "not now: the token is being checked; wait for authenticated"})
	case !ph.authenticated() && q.op != opAuthenticate:
		h.failParsed(c, q, user,
			fault{code: wire.CodeNeedAuth, text: "authentication required: call authenticate first"})
	case h.affords(c, s, q, user, h.elapsed(now)):
		h.call(c, s, q, ph, user, now)
	}
}

// affordsParse reports whether a long message may be parsed, at 30 ns and 50 bytes of memory a byte.
// If not, it has been answered. The cost of its bytes is counted later.
func (h *Handler) affordsParse(
	c conn, s *session, q *request, p []byte, user string, pace limits.Verdict, now int64,
) bool {
	q.id = plainID(p)
	if pace != limits.OK {
		h.overLimit(c, limits.Messages, user)
		h.fail(c, q, fault{code: wire.CodeRate, text: rateLimited})
		return false
	}
	v, retry := h.limit.Charge(h.client(c, user), int64(len(p)/limits.CostBytes), 0, now)
	if v == limits.OK {
		return true
	}
	h.overLimit(c, limits.Cost, user)
	h.turnDown(c, s, q, v, retry, rateCost)
	return false
}

// failParsed answers a message that is refused after it was parsed. A long one is charged.
func (h *Handler) failParsed(c conn, q *request, user string, f fault) {
	if q.size > keepBytes {
		h.spend(c, user, q.size/limits.CostBytes, 0)
	}
	h.fail(c, q, f)
}

// affords counts the cost of a request; false: it was over the budget, and has been answered.
func (h *Handler) affords(c conn, s *session, q *request, user string, now int64) bool {
	joined := 0
	if q.op == opList {
		s.mu.Lock()
		joined = int(s.rooms)
		s.mu.Unlock()
	}
	v, retry := h.charge(c, user, q.cost(joined), now)
	if v == limits.OK {
		return true
	}
	h.overLimit(c, limits.Cost, user)
	h.turnDown(c, s, q, v, retry, rateCost)
	return false
}

// turnDown answers a request that is over a budget, and closes the connection if it is far over.
func (h *Handler) turnDown(c conn, s *session, q *request, v limits.Verdict, retry time.Duration, why string) {
	f := fault{code: wire.CodeRate, text: why, retryAfter: retry}
	if v == limits.Far {
		h.hangUp(c, s, q.id, f, wire.CloseRate, "rate limited")
		return
	}
	h.fail(c, q, f)
}

// waits counts a request that must wait for rooms, before it keeps anything, until done is called. ok
// is false if too many wait already: the request has then been answered.
func (h *Handler) waits(c conn, s *session, q *request, user string) (done func(), ok bool) {
	w := q.weight()
	if s.enter(w) {
		return func() { s.leave(w) }, true
	}
	h.overLimit(c, limits.Waiting, user)
	v, retry := h.charge(c, user, limits.CostRefused, h.elapsed(time.Now()))
	h.turnDown(c, s, q, v, max(retry, time.Second),
		"rate limited: too many requests wait for their rooms; wait for the replies")
	return nil, false
}

// elapsed returns the time by which debts are counted, in ns of the monotonic clock. If a wall
// clock were set back, all clients would be far in debt.
func (h *Handler) elapsed(now time.Time) int64 { return int64(now.Sub(h.begun)) }

const rateCost = "rate limited: the requests cost too much; name fewer rooms, or ask less often"

const rateLimited = "rate limited: send less often"

func (h *Handler) call(c conn, s *session, q *request, ph phase, user string, now time.Time) {
	h.calls[q.op].Add(1)
	switch q.op {
	case opAuthenticate:
		h.authenticate(c, s, q, ph, now)
	case opSubscribe:
		h.subscribe(c, s, q, user)
	case opUnsubscribe:
		h.unsubscribe(c, s, q, user)
	case opList:
		h.list(c, s, q, user)
	case opPing:
		if len(q.id) > 0 {
			q.out = wire.AppendPing(q.out[:0], q.id, now)
			c.SendText(q.out)
		}
	default:
		h.fail(c, q, fault{code: wire.CodeMethod,
			text: "unknown method " + jsontext.Quoted(q.method) +
				": known are authenticate, subscribe, unsubscribe, list_subscriptions, ping and heartbeat"})
	}
}

// fail answers a request with an error. A notification gets none (JSON-RPC 2.0, section 4.1).
func (h *Handler) fail(c conn, q *request, f fault) {
	h.faults.Add(1)
	if len(q.id) > 0 {
		q.out = appendError(q.out[:0], q.id, f)
		c.SendText(q.out)
	}
}

func (h *Handler) say(c conn, id []byte, f fault) {
	h.faults.Add(1)
	c.SendText(appendError(nil, id, f))
}

// hangUp sends an error and closes. The error is sent even if the request had no id.
func (h *Handler) hangUp(c conn, s *session, id []byte, f fault, code int, reason string) {
	s.mu.Lock()
	first := s.closeLocked(h.limit)
	s.mu.Unlock()
	if !first {
		return
	}
	if len(id) == 0 {
		id = idNull
	}
	h.say(c, id, f)
	c.SetTimer(time.Time{})
	c.Close(code, reason)
}

func (h *Handler) logLimit(c conn, k limits.Kind, user string) {
	h.log.Warn("limit reached", "limit", k.String(), "conn", c.ID(), "user", user, "remote", c.Remote())
	h.note("limit reached", c, user, k.String())
}

// Limited counts and logs a socket that the engine has refused or dropped.
func (h *Handler) Limited(l loop.Limit, from netip.AddrPort) {
	k := h.limit.Hit(limits.OfSocket[l])
	h.log.Warn("limit of sockets reached", "limit", k.String(), "remote", from)
	h.security.Note("limit reached", from.Addr(), slog.Any("remote", from), slog.String("why", k.String()))
}

// logRefused logs why a token was refused. The user is "" before the first valid token.
func (h *Handler) logRefused(c conn, user, why string) {
	attrs := []any{"conn", c.ID(), "remote", c.Remote(), "reason", why}
	if user != "" {
		attrs = slices.Insert(attrs, 2, any("user"), any(user))
	}
	h.log.Info("authentication failed", attrs...)
	h.note("authentication failed", c, user, why)
}

// note writes a security event of a connection: which user, from where, and why.
func (h *Handler) note(kind string, c conn, user, why string, more ...slog.Attr) {
	if !h.security.Enabled() {
		return
	}
	attrs := []slog.Attr{slog.Any("remote", c.Remote()), slog.Uint64("conn", c.ID())}
	if user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	if why != "" {
		attrs = append(attrs, slog.String("why", why))
	}
	h.security.Note(kind, c.Remote().Addr(), append(attrs, more...)...)
}

// debug logs at the debug level. It costs nothing if that is off.
func (h *Handler) debug(text string, c conn, user string, more ...slog.Attr) {
	if ctx := context.Background(); h.log.Enabled(ctx, slog.LevelDebug) {
		attrs := append([]slog.Attr{slog.Uint64("conn", c.ID()), slog.String("user", user),
			slog.Any("remote", c.Remote())}, more...)
		h.log.LogAttrs(ctx, slog.LevelDebug, text, attrs...)
	}
}
