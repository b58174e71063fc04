package session

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"tapecast/loop"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/auth/revoked"
	"tapecast/server/config"
)

// Revocations are judged in one place, judgeLocked, when a token makes or renews a session, however
// it was checked. session.mu is held from the judgement until the session has the token. So a
// revocation that comes meanwhile is seen by that judgement, or else by JudgeAgain, which is called
// for every connection after each one.

// errOver means that a session is no longer in the phase that it was in.
var errOver = errors.New("the session is over")

// newRevoked returns the list of revocations. Without a topic it is empty for good.
func newRevoked(cfg *config.Auth, log *slog.Logger) *revoked.List {
	l := revoked.NewList(revoked.Bounds{}, log)
	if cfg.Revocations == "" {
		l.Begin(false)
		l.Whole()
	}
	return l
}

// Revoked returns the list of revocations that tokens are judged by. If there is a topic for it, no
// token is accepted until that was read.
func (h *Handler) Revoked() *revoked.List { return h.revoked }

// judgeLocked returns why a token is revoked, or nil. The session's mu is held.
func (h *Handler) judgeLocked(user string, mark revoked.Mark) error {
	if user == "" { // there is no token
		return nil
	}
	err := h.revoked.Judge(user, mark)
	if err != nil {
		h.revoked.Refused()
	}
	return err
}

// JudgeAgain closes a connection whose token is revoked by now. It runs on the loop.
func (h *Handler) JudgeAgain(c *loop.Conn) { h.closeIf(c, h.revoked, "") }

// CloseIf closes a connection whose token a list revokes, for a reason that its client is told. The
// list must be made from h.Revoked(). It runs on the loop.
func (h *Handler) CloseIf(c *loop.Conn, by *revoked.List, reason string) { h.closeIf(c, by, reason) }

// IsOf reports whether a connection is open whose token a list revokes. It runs on the loop.
func (h *Handler) IsOf(c *loop.Conn, by *revoked.List) bool {
	s := sessionOf(c)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase.authenticated() && s.judgeLocked(by) != nil
}

// judgeLocked returns why a list revokes the session's token. nil: it does not, or there is none.
func (s *session) judgeLocked(by *revoked.List) error {
	if s.user == "" {
		return nil
	}
	return by.Judge(s.user, revoked.Mark{ID: s.tokenID, Issued: s.issued})
}

// closeIf closes a connection whose token a list revokes. Without a reason it is the list's.
func (h *Handler) closeIf(c conn, by *revoked.List, reason string) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	err := s.judgeLocked(by)
	user, first := s.user, err != nil && s.closeLocked(h.limit)
	s.mu.Unlock()
	if !first {
		return
	}
	h.revoked.Closed()
	code, why := closeOfToken(err)
	reason = cmp.Or(reason, why)
	h.debug("a client is closed", c, user, slog.Int("code", code), slog.String("reason", reason))
	h.note("closed", c, user, reason)
	c.SetTimer(time.Time{})
	c.Close(code, reason)
}

// refuseInHandshake refuses a token of the handshake.
func (h *Handler) refuseInHandshake(c conn, token string, err error, refuse func(f fault, code int, reason string)) {
	switch {
	case errors.Is(err, auth.ErrAway):
		refuse(awayOf(err), wire.CloseTryLater, awayReason)
		return
	case err == revoked.ErrUnread:
		refuse(unread, wire.CloseTryLater, awayReason)
		return
	}
	h.badToken(c, token, err)
	h.logRefused(c, "", err.Error())
	code, reason := closeOfToken(err)
	refuse(fault{code: wire.CodeAuth, text: authFailed + err.Error()}, code, reason)
}

var unread = fault{code: wire.CodeNotNow, retryAfter: retryAway,
	text: "not now: the token cannot be checked, since " + revoked.ErrUnread.Error() + "; come again later"}
