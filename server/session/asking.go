package session

import (
	"bytes"
	"strings"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/limits"
)

// A token that cannot be judged from memory parks its session until somebody else has answered
// (auth.Authenticator.Ask). A connection's first token makes the session phAsking, which counts as
// pending. A session that renews its token goes on meanwhile, and asks about one at a time. No
// poller or loop waits: the answer comes on another goroutine, when the client may be gone.

// retryAway is when a client should come again whose token could not be checked.
const retryAway = 5 * time.Second

// parsedSize is how many bytes of memory a byte of a request needs at most that waits: its rooms and
// positions are kept.
const parsedSize = 4

// askLater checks a token of authenticate that cannot be judged from memory.
func (h *Handler) askLater(c conn, s *session, q *request, ph phase, a authRequest, ask error) {
	if !s.park(ph) {
		h.fail(c, q, badRequest("authentication in progress"))
		return
	}
	if ph != phPending && ph != phManual {
		a.join, a.wishes = nil, wishes{} // of no use to a renewal
	}
	id := bytes.Clone(q.id)
	asked := h.askFor(c, a.token, ask, parsedSize*q.size, func(who auth.Identity, err error) {
		now, ok := s.unpark(ph)
		if !ok {
			return
		}
		again := getRequest()
		defer putRequest(again)
		again.id = id
		h.judged(c, s, again, now, a, who, err, time.Now())
	})
	if !asked {
		if _, ok := s.unpark(ph); ok {
			h.note(tooManyAsk, c, "", "")
			h.refuseAway(c, s, q, ph, ask)
		}
	}
}

// askInHandshake checks a token of the handshake that cannot be judged from memory.
func (h *Handler) askInHandshake(c conn, s *session, r *upgrade.Request, ask error) {
	if !c.Pend() {
		h.logLimit(c, h.limit.Hit(limits.Pending), "")
		h.say(c, idNull, awayOf(ask))
		c.Close(wire.CloseTryLater, awayReason)
		return
	}
	h.limit.Pending.Add(1)
	s.mu.Lock()
	s.phase = phAsking
	s.mu.Unlock()
	c.SetTimeout(h.timeout)
	token, manual := strings.Clone(r.Token), manual(r)
	refuse := func(f fault, code int, reason string) { h.hangUp(c, s, idNull, f, code, reason) }
	asked := h.askFor(c, token, ask, len(token)+parsedSize*len(r.Body), func(who auth.Identity, err error) {
		h.judgedInHandshake(c, s, phAsking, token, manual, who, err, time.Now(), refuse)
	})
	if !asked {
		h.note(tooManyAsk, c, "", "")
		h.hangUp(c, s, idNull, awayOf(ask), wire.CloseTryLater, awayReason)
	}
}

// askFor is auth.Authenticator.Ask, with a share of the places for each address.
func (h *Handler) askFor(c conn, token string, ask error, kept int, done func(auth.Identity, error)) bool {
	from := c.Remote().Addr()
	if _, ok := h.limit.Asking.Take(from); !ok {
		return false
	}
	asked := h.auth.Ask(token, ask, kept, func(who auth.Identity, err error) {
		h.limit.Asking.Give(from)
		done(who, err)
	})
	if !asked {
		h.limit.Asking.Give(from)
	}
	return asked
}

// refuseAway answers a token that cannot be checked now. A first one ends the connection.
func (h *Handler) refuseAway(c conn, s *session, q *request, ph phase, why error) {
	if ph == phPending {
		h.hangUp(c, s, q.id, awayOf(why), wire.CloseTryLater, awayReason)
		return
	}
	h.fail(c, q, awayOf(why))
}

// awayOf says whose trouble it is, by auth.ErrAsk or auth.ErrAway.
func awayOf(why error) fault {
	text := "its issuer's keys cannot be fetched"
	if auth.OfService(why) {
		text = "the service that checks it does not answer"
	}
	return fault{code: wire.CodeNotNow, retryAfter: retryAway,
		text: "not now: the token cannot be checked, since " + text + "; come again later"}
}

const (
	awayReason = "the token cannot be checked now"
	tooManyAsk = "too many tokens wait to be checked"
)

// park notes that a session of a phase waits for the answer about a token. It returns false if it
// waits already, or is in another phase by now.
func (s *session) park(ph phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != ph || s.marks.asks() {
		return false
	}
	if ph == phPending {
		s.phase = phAsking
		return true
	}
	s.marks.setAsks(true)
	return true
}

// unpark ends that, and returns the phase from which the session goes on. ok is false if it is over.
func (s *session) unpark(ph phase) (now phase, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phAsking && ph == phPending {
		s.phase = phPending
	}
	s.marks.setAsks(false)
	return s.phase, s.phase != phClosed
}
