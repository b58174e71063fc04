package session

import (
	"errors"
	"math"
	"time"

	"github.com/valyala/fastjson"

	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/auth/revoked"
	"tapecast/server/limits"
	"tapecast/server/rights"
)

// authenticate serves the method. The first call lets the client in. Later calls renew the token,
// and after ?join=manual the second one names the rooms to join.
func (h *Handler) authenticate(c conn, s *session, q *request, ph phase, start time.Time) {
	if ph == phJoining || ph == phAsking {
		h.fail(c, q, badRequest("authentication in progress"))
		return
	}
	a, f := authParams(q)
	if f.is() {
		h.fail(c, q, f)
		return
	}
	if a.certificate {
		h.authenticateByCertificate(c, s, q, ph, a, start)
		return
	}
	if a.anonymous {
		h.authenticateAnonymous(c, s, q, ph, a, start)
		return
	}
	if !a.given {
		if ph != phManual {
			h.fail(c, q, badParams("params.token is missing"))
			return
		}
		h.authenticateRest(c, s, q, a, start)
		return
	}
	if ph == phPending {
		if wait := h.wornOut(c); wait > 0 {
			h.fail(c, q, fault{code: wire.CodeRate,
				text: "rate limited: too many bad tokens came from this address", retryAfter: wait})
			return
		}
	}
	id, err := h.auth.ParseToken(a.token)
	if errors.Is(err, auth.ErrAsk) {
		h.askLater(c, s, q, ph, a, err)
		return
	}
	h.judged(c, s, q, ph, a, id, err, start)
}

// judged goes on with a token that was checked.
func (h *Handler) judged(c conn, s *session, q *request, ph phase, a authRequest, id auth.Identity, err error,
	start time.Time) {
	h.authTime.Update(time.Since(start).Seconds())
	if err != nil {
		h.refuse(c, s, q, ph, a.token, err)
		return
	}
	if ph == phPending {
		h.authenticateFirst(c, s, q, a, id, start)
		return
	}
	changed, ok := h.renew(c, s, q, id, start)
	switch {
	case !ok:
		return
	case ph == phManual:
		h.authenticateRest(c, s, q, a, start)
	default:
		h.answerAuthenticated(c, q, id)
	}
	if changed {
		h.sift(c)
	}
}

type authRequest struct {
	token       string
	given       bool // token was given
	anonymous   bool
	certificate bool
	positions   bool
	join        []string // nil: the configured rooms
	wishes      wishes
}

func authParams(q *request) (a authRequest, f fault) {
	if q.params != nil && q.params.Type() != fastjson.TypeObject {
		return a, badParams("authenticate takes an object")
	}
	if a.wishes, f = q.wishes(); f.is() {
		return a, f
	}
	a.wishes.keys = nil // keys are for subscribe only
	var ok bool
	if a.token, a.given, ok = q.text("token"); !ok {
		return a, badParams("params.token must be a string")
	}
	if a.positions, f = q.boolean("positions", true); f.is() {
		return a, f
	}
	if a.anonymous, f = q.boolean("anonymous", false); f.is() {
		return a, f
	}
	if a.certificate, f = q.boolean("certificate", false); f.is() {
		return a, f
	}
	if v := q.get("join"); v != nil {
		a.join, f = stringsOf(v, "params.join")
	}
	return a, f
}

func (h *Handler) authenticateFirst(c conn, s *session, q *request, a authRequest, id auth.Identity, start time.Time) {
	names, user, ok := h.autoJoin(rights.Who{User: id.User, Claims: id.Claims, Looked: id.Looked})
	if !ok {
		h.hangUp(c, s, q.id, changedMeanwhile, wire.CloseExpired, comeAgainReason)
		return
	}
	id.User = user
	tier, ok := h.takeUser(id)
	if !ok {
		h.logLimit(c, h.limit.Hit(limits.User), id.User)
		h.hangUp(c, s, q.id, fault{code: wire.CodeLimit, text: tooManyOfUser}, wire.CloseTooMany, tooManyOfUser)
		return
	}
	if err := h.admit(c, s, id, tier, phPending, phJoining, start); err != nil {
		h.limit.Users.Give(id.User, 0)
		if err != errOver { // or else the timer fired first
			h.refuse(c, s, q, phPending, a.token, err)
		}
		return
	}
	if a.join != nil {
		names = a.join
	}
	c.SetAuthenticated(a.positions)
	h.answerAuthenticated(c, q, id)
	h.joinFirst(c, s, names, a.wishes, start)
}

// authenticateRest joins the rooms that a client named after ?join=manual.
func (h *Handler) authenticateRest(c conn, s *session, q *request, a authRequest, start time.Time) {
	s.mu.Lock()
	id, ok := auth.Identity{User: s.user, Expires: s.expires}, s.phase == phManual
	if ok {
		s.phase = phJoining
	}
	s.mu.Unlock()
	if !ok { // another request has named them meanwhile, or the client is gone
		h.answerAuthenticated(c, q, id)
		return
	}
	names := a.join
	if names == nil {
		if names, _, ok = h.autoJoin(h.who(c)); !ok { // the rules have changed since the handshake
			h.comeAgain(c, s)
			return
		}
	}
	c.SetAuthenticated(a.positions)
	h.answerAuthenticated(c, q, id)
	h.joinFirst(c, s, names, a.wishes, start)
}

// admit makes a session authenticated. The error is errOver if the session is no longer in its phase,
// and else says why its token is revoked.
func (h *Handler) admit(c conn, s *session, id auth.Identity, tier limits.Tier, was, next phase,
	now time.Time) error {
	mark := h.revoked.Mark(id.ID, id.Issued)
	s.mu.Lock()
	if s.phase != was {
		s.mu.Unlock()
		return errOver
	}
	if err := h.judgeLocked(id.User, mark); err != nil {
		s.mu.Unlock()
		return err
	}
	if was.pending() {
		h.limit.Pending.Add(-1)
	}
	s.user, s.phase = id.User, next
	h.setTierLocked(s, tier, now)
	setClaimsLocked(c, id)
	if end := now.Add(h.maxSession).Unix(); h.maxSession > 0 && end <= math.MaxUint32 &&
		(s.last == 0 || uint32(end) < s.last) {
		s.last = uint32(end)
	}
	s.renewLocked(id, mark, h.auth.Leeway(), now)
	at := s.nextTimerLocked(h.auth.Leeway(), now)
	s.mu.Unlock()
	c.SetTimer(at)
	h.debug("authenticated", c, id.User)
	h.noteService(c, id)
	return nil
}

// renew continues a session with another token. changed reports whether its claims differ.
func (h *Handler) renew(c conn, s *session, q *request, id auth.Identity, now time.Time) (changed, ok bool) {
	mark, tier := h.revoked.Mark(id.ID, id.Issued), h.tierOf(id)
	s.mu.Lock()
	same, open := s.user == id.User, s.phase != phClosed
	var at time.Time
	var why error
	tiered := false
	if same && open {
		if why = h.judgeLocked(id.User, mark); why == nil {
			tiered = h.setTierLocked(s, tier, now)
			s.renewLocked(id, mark, h.auth.Leeway(), now)
			changed = setClaimsLocked(c, id)
			at = s.nextTimerLocked(h.auth.Leeway(), now)
		}
	}
	s.mu.Unlock()
	switch {
	case why != nil:
		h.failRenewal(c, s, q, why.Error())
		return false, false
	case !open:
		return false, false
	case !same:
		h.failRenewal(c, s, q, "the token is of another user; open another connection for it")
		return false, false
	}
	c.SetTimer(at)
	if tiered {
		c.Measure()
	}
	if changed {
		h.noteService(c, id)
	}
	return changed, true
}

const authFailed = "authentication failed: "

// refuse answers a bad token. The first one of a connection ends it, as in a handshake. A session
// that could not be renewed continues until its own end.
func (h *Handler) refuse(c conn, s *session, q *request, ph phase, token string, why error) {
	switch {
	case errors.Is(why, auth.ErrAway):
		h.refuseAway(c, s, q, ph, why)
		return
	case why == revoked.ErrUnread:
		h.hangUp(c, s, q.id, unread, wire.CloseTryLater, awayReason)
		return
	case ph != phPending:
		h.failRenewal(c, s, q, why.Error())
		return
	}
	h.badToken(c, token, why)
	h.logRefused(c, "", why.Error())
	code, reason := closeOfToken(why)
	h.hangUp(c, s, q.id, fault{code: wire.CodeAuth, text: authFailed + why.Error()}, code, reason)
}

// failRenewal answers a token that does not renew the session.
func (h *Handler) failRenewal(c conn, s *session, q *request, why string) {
	h.logRefused(c, s.name(), why)
	h.fail(c, q, fault{code: wire.CodeAuth, text: authFailed + why})
}

func (h *Handler) answerAuthenticated(c conn, q *request, id auth.Identity) {
	if len(q.id) == 0 {
		return
	}
	q.out = append(h.told(c, id).Append(wire.AppendResult(q.out[:0], q.id)), '}')
	c.SendText(q.out)
}

func (h *Handler) told(c conn, id auth.Identity) *wire.Identity {
	if s := sessionOf(c); s != nil && (h.maxSession > 0 || h.certified) {
		s.mu.Lock()
		id.Expires = min(id.Expires, s.expires)
		s.mu.Unlock()
	}
	return &wire.Identity{ClientID: h.ClientID(c), UserID: id.User, Expires: id.Expires, MaxMessage: h.maxLong}
}

// closeOfToken returns how a connection is closed after a refused token. A client with a new token
// should come again where that can help: an expired or early token passes with time, a new one may be
// signed with another key, and the service that checks tokens may accept it. With other faults it
// need not.
func closeOfToken(err error) (code int, reason string) {
	_, renew := auth.IsOfCertificate(err)
	switch {
	case renew:
		return wire.CloseExpired, "certificate expired"
	case errors.Is(err, auth.ErrExpired):
		return wire.CloseExpired, "token expired"
	case errors.Is(err, auth.ErrEarly):
		return wire.CloseExpired, "token not valid yet"
	case errors.Is(err, auth.ErrUnknownKey):
		return wire.CloseExpired, "token's key unknown"
	case errors.Is(err, auth.ErrNotThis):
		return wire.CloseExpired, "token not accepted"
	case err == revoked.ErrUser:
		return wire.CloseForbidden, "access revoked"
	case err == revoked.ErrToken:
		return wire.CloseExpired, "token revoked"
	}
	return wire.CloseAuth, "authentication failed"
}
