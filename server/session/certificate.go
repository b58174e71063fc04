package session

import (
	"math"
	"time"

	"tapecast/rooms/wire"
)

// A client whose certificate gives a user needs no token: it says authenticate with "certificate":
// true, and is then as one with a token of that user. `auth_required` says that it may. It may as well
// send a token, also one of another user. Whatever it sends, its session ends with the certificate
// that it has shown.

// authenticateByCertificate serves authenticate with the certificate of the TLS handshake.
func (h *Handler) authenticateByCertificate(c conn, s *session, q *request, ph phase, a authRequest, start time.Time) {
	if a.given || a.anonymous {
		h.fail(c, q, badParams("params.certificate stands for itself: send one of token, certificate and anonymous"))
		return
	}
	id, err := h.auth.OfCertificate(c.Certificate())
	h.judged(c, s, q, ph, a, id, err, start)
}

// certifies reports whether the certificate of a connection gives a user.
func (h *Handler) certifies(c conn) bool { return h.certified && h.auth.GivesUser(c.Certificate()) }

// lastOf returns when the certificate of a connection, or one that it needs, ends, as session.last has it.
func (h *Handler) lastOf(c conn) uint32 {
	if !h.certified {
		return 0
	}
	cert, until := c.Certificate()
	if cert == nil || until.Unix() > math.MaxUint32 {
		return 0
	}
	return uint32(max(1, until.Unix()))
}

// lastTimer returns when a session without a token must be looked at again; zero: never.
func (s *session) lastTimer(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == 0 {
		return time.Time{}
	}
	at := time.Unix(int64(s.last), 0)
	if most := now.Add(maxTimer); at.After(most) {
		return most
	}
	return at
}

// anonymousTimer ends a session without a token if its certificate has ended. s.mu is held, and is
// released.
func (h *Handler) anonymousTimer(c conn, s *session, now time.Time) {
	over := s.last != 0 && !now.Before(time.Unix(int64(s.last), 0)) && s.closeLocked(h.limit)
	s.mu.Unlock()
	if over {
		h.log.Info("a client's certificate expired", "conn", c.ID(), "remote", c.Remote())
		c.Close(wire.CloseExpired, "certificate expired")
		return
	}
	c.SetTimer(s.lastTimer(now))
}
