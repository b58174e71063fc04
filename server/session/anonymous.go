package session

import (
	"time"

	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/limits"
	"tapecast/server/rights"
)

// A client without a token is let in by authenticate with "anonymous": true, where the configuration
// lists rooms for such clients. Its session has no user and does not end by itself. It stays
// anonymous: a token takes another connection. If its client has shown a certificate, it ends with
// that. What it causes is paid for by its address (limits.AnonymousPayer), as if that were a user.

const (
	// anonymously is what expires is in the session of an anonymous client.
	anonymously = -1
	// anonymouslyGone is that once the connection is gone.
	anonymouslyGone = -2
)

// anonymousLocked reports whether the client is, or was, anonymous.
func (s *session) anonymousLocked() bool { return s.expires < 0 }

// accountLocked returns whose rooms those of a session are, and by which name. nil: nobody's, or its
// client is gone.
func (h *Handler) accountLocked(c conn, s *session) (*limits.Accounts, string) {
	switch {
	case s.user != "":
		return h.limit.Users, s.user
	case s.expires == anonymously:
		return h.limit.Guests, limits.AnonymousPayer(c.Remote().Addr())
	}
	return nil, ""
}

// authenticateAnonymous serves authenticate without a token.
func (h *Handler) authenticateAnonymous(c conn, s *session, q *request, ph phase, a authRequest, start time.Time) {
	switch {
	case a.given:
		h.fail(c, q, badParams("params.anonymous and params.token contradict each other: send one of them"))
		return
	case ph != phPending && h.who(c).Anonymous:
		h.answerAnonymous(c, q)
		return
	case ph != phPending:
		h.fail(c, q, fault{code: wire.CodeAuth,
			text: authFailed + "the connection has a user; open another one without a token"})
		return
	case !h.rules.Load().anonymous:
		const why = "a token is needed here: " + anonymousOff
		h.logRefused(c, "", why)
		h.hangUp(c, s, q.id, fault{code: wire.CodeAuth, text: authFailed + why}, wire.CloseAuth,
			"authentication failed")
		return
	}
	from := c.Remote().Addr()
	if by, ok := h.limit.Anonymous.Take(from); !ok {
		if h.limit.Hit(by); h.limit.MayLogOf(from, by, h.elapsed(time.Now())) {
			h.logLimit(c, by, "")
		}
		h.hangUp(c, s, q.id, fault{code: wire.CodeLimit, text: tooManyAnonymous(by)}, wire.CloseTooMany,
			tooManyAnonymous(by))
		return
	}
	s.mu.Lock()
	ok := s.phase == phPending
	if ok {
		h.limit.Pending.Add(-1)
		s.phase, s.expires, s.lead = phJoining, anonymously, 0
		h.limit.Guests.Take(limits.AnonymousPayer(from), 0)
	}
	s.mu.Unlock()
	if !ok { // the timer fired first
		h.limit.Anonymous.Give(from)
		return
	}
	if h.endIfOff(c, s) {
		return
	}
	c.SetTimer(s.lastTimer(time.Now()))
	h.debug("let in without a token", c, "")
	names := a.join
	if names == nil {
		names, _ = h.rules.Load().AutoJoin(rights.Who{Anonymous: true})
	}
	c.SetAuthenticated(a.positions)
	h.answerAnonymous(c, q)
	h.joinFirst(c, s, names, a.wishes, start)
}

func (h *Handler) answerAnonymous(c conn, q *request) {
	if len(q.id) == 0 {
		return
	}
	told := wire.Identity{ClientID: h.ClientID(c), Anonymous: true, MaxMessage: h.maxLong}
	q.out = append(told.Append(wire.AppendResult(q.out[:0], q.id)), '}')
	c.SendText(q.out)
}

const anonymousOff = "anonymous access is off"

func tooManyAnonymous(by limits.Kind) string {
	if by == limits.AnonymousAddress {
		return "limit reached: too many anonymous connections of this address"
	}
	return "limit reached: too many anonymous connections"
}

// pays returns who pays for what a connection causes, with the limits of its tier.
func (h *Handler) pays(c conn) rooms.Payer {
	who := rooms.Payer{User: h.payer(c)}
	if s := sessionOf(c); s != nil {
		row := h.row(s)
		who.EmptyRooms, who.RecallBytes = row.EmptyRooms, row.RecallBytes
	}
	return who
}

// payer returns who pays for what a connection causes beyond its own budgets: its user or, if it is
// anonymous, its address.
func (h *Handler) payer(c conn) string {
	if who := h.who(c); who.User != "" || !who.Anonymous {
		return who.User
	}
	return limits.AnonymousPayer(c.Remote().Addr())
}
