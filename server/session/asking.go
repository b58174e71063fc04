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
// pending. A renewal counts as a request that waits, and the session goes on meanwhile. No poller
// or loop waits.

// retryAway is when a client should come again whose token could not be checked.
const retryAway = 5 * time.Second

// askFirst checks a token of authenticate whose key must be fetched first.
func (h *Handler) askFirst(c conn, s *session, q *request, ph phase, a authRequest, start time.Time) {
	done := func() {}
	if ph == phPending {
		if !s.park(phPending) { // the timer fired first
			return
		}
	} else {
		var ok bool
		if done, ok = h.waits(c, s, q, h.user(c)); !ok {
			return
		}
	}
	id := bytes.Clone(q.id)
	asked := h.auth.Ask(a.token, func(who auth.Identity, err error) {
		done()
		if ph == phPending && !s.unpark(phPending) {
			return
		}
		again := getRequest()
		defer putRequest(again)
		again.id = append(again.id[:0], id...)
		h.judged(c, s, again, ph, a, who, err, start)
	})
	if !asked {
		done()
		if ph == phPending {
			s.unpark(phPending)
		}
		h.refuseAway(c, s, q, ph)
	}
}

// askInHandshake checks a token of the handshake whose key must be fetched first.
func (h *Handler) askInHandshake(c conn, s *session, r *upgrade.Request, start time.Time) {
	if !c.Pend() {
		h.logLimit(c, h.limit.Hit(limits.Pending), "")
		h.turnAway(c)
		return
	}
	h.limit.Pending.Add(1)
	s.mu.Lock()
	s.phase = phAsking
	s.mu.Unlock()
	c.SetTimeout(h.timeout)
	token, manual := strings.Clone(r.Token), r.Param("join") == "manual"
	asked := h.auth.Ask(token, func(who auth.Identity, err error) {
		if s.unpark(phClosed) {
			h.limit.Pending.Add(-1)
			h.judgedInHandshake(c, s, token, manual, who, err, start)
		}
	})
	if !asked && s.unpark(phClosed) {
		h.limit.Pending.Add(-1)
		h.turnAway(c)
	}
}

// refuseAway answers a token that cannot be checked now. A first one ends the connection.
func (h *Handler) refuseAway(c conn, s *session, q *request, ph phase) {
	if ph == phPending {
		h.hangUp(c, s, q.id, away, wire.CloseTryLater, awayReason)
		return
	}
	h.fail(c, q, away)
}

// turnAway closes a connection whose token of the handshake cannot be checked now.
func (h *Handler) turnAway(c conn) {
	h.say(c, idNull, away)
	c.SetTimer(time.Time{})
	c.Close(wire.CloseTryLater, awayReason)
}

var away = fault{code: wire.CodeNotNow, retryAfter: retryAway,
	text: "not now: the token cannot be checked, since its issuer does not answer; come again later"}

const awayReason = "the token cannot be checked now"

// park makes a session wait for the answer about its token.
func (s *session) park(from phase) bool { return s.move(from, phAsking) }

// unpark ends that. It returns false if the session is over.
func (s *session) unpark(to phase) bool { return s.move(phAsking, to) }

func (s *session) move(from, to phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != from {
		return false
	}
	s.phase = to
	return true
}
