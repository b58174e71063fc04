package session

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
	"tapecast/server/rights"
)

// open decides on a handshake. A connection with a session counts until closed.
func (h *Handler) open(c conn, r *upgrade.Request) upgrade.Verdict {
	if !h.accepting.Load() {
		return unavailable("the server is stopping", 5)
	}
	if h.tiersKnown != nil && !h.tiersKnown() {
		return unavailable("the node is not ready, since limits.tiers_topic was not read yet", 5)
	}
	if v := h.vet(c, r); v.Status != 0 {
		return v
	}
	var stream *streamed
	if r.Stream != "" {
		var v upgrade.Verdict
		if stream, v = h.streamOf(r); v.Status != 0 {
			return v
		}
	}
	if r.Token != "" {
		if wait := h.wornOut(c); wait > 0 {
			return unavailable("too many bad tokens came from this address", max(5, seconds(wait)))
		}
	}
	attach, s := h.newSession(stream)
	if r.Token == "" && !c.Pend() {
		h.logLimit(c, h.limit.Hit(limits.Pending), "")
		return unavailable("too many connections are waiting to authenticate", 5)
	}
	s.last = h.lastOf(c)
	h.limit.Conns.Add(1)
	if r.Token != "" {
		c.SetSession(attach)
		return h.openWithToken(c, s, r)
	}
	h.limit.Pending.Add(1)
	s.phase = phPending
	c.SetSession(attach)
	c.SetTimeout(h.timeout)
	if stream != nil {
		h.openStream(c, stream)
		return upgrade.Verdict{}
	}
	q := getRequest()
	q.out = wire.AppendAuthRequired(q.out[:0], h.timeout, h.maxEarly, h.certifies(c))
	c.SendText(q.out)
	putRequest(q)
	return upgrade.Verdict{}
}

// vet refuses handshakes of pages that may not connect, and tokens in URLs where they may not come.
func (h *Handler) vet(c conn, r *upgrade.Request) upgrade.Verdict {
	if !h.queryToken && r.Param("token") != "" {
		h.note("token in the URL", c, "", "")
		return upgrade.Verdict{Status: http.StatusBadRequest, Body: "a token in the URL may be logged on its way, " +
			"and is not accepted here (auth.query_token); send it by authenticate, the header Authorization, or the " +
			"subprotocols bearer and the token\n"}
	}
	if len(h.origins) == 0 {
		return upgrade.Verdict{}
	}
	if origin := r.Header("Origin"); origin != "" && !allows(h.origins, origin) {
		h.note("origin refused", c, "", jsontext.Quoted([]byte(origin)))
		return upgrade.Verdict{Status: http.StatusForbidden,
			Body: "pages of this origin may not connect (auth.origins)\n"}
	}
	return upgrade.Verdict{}
}

// AllowsOrigin reports whether pages of an origin may connect.
func (h *Handler) AllowsOrigin(origin string) bool {
	return len(h.origins) == 0 || allows(h.origins, origin)
}

// allows reports whether an origin is one of a list, or under a name with a star.
func allows(list []string, origin string) bool {
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(list, func(o string) bool {
		scheme, under, star := strings.Cut(o, "*")
		return o == origin || star && strings.HasPrefix(origin, scheme) && strings.HasSuffix(origin, under) &&
			len(origin) > len(scheme)+len(under)
	})
}

// openWithToken authenticates by the handshake. A browser shows a page nothing of an answer other
// than 101, so a bad token is refused after the upgrade. A stream is refused at once, if the token can
// be judged at once.
func (h *Handler) openWithToken(c conn, s *session, r *upgrade.Request) (v upgrade.Verdict) {
	start := time.Now()
	id, err := h.auth.ParseToken(r.Token)
	if errors.Is(err, auth.ErrAsk) {
		h.askInHandshake(c, s, r, err)
		return v
	}
	refuse := func(f fault, code int, reason string) {
		if r.Stream != "" {
			h.faults.Add(1)
			v = refusedStream(f)
			v.Close = code
			return
		}
		h.say(c, idNull, f)
		c.Close(code, reason)
	}
	h.judgedInHandshake(c, s, phClosed, r.Token, manual(r), id, err, start, refuse)
	return v
}

// manual reports whether the client will name the rooms to join in authenticate.
func manual(r *upgrade.Request) bool { return r.Stream == "" && r.Param("join") == "manual" }

// judgedInHandshake goes on with a token of the handshake that was checked: at once, while the
// session is still phClosed, or later, when its client may be gone.
func (h *Handler) judgedInHandshake(c conn, s *session, was phase, token string, manual bool, id auth.Identity,
	err error, start time.Time, refuse func(f fault, code int, reason string)) {
	h.authTime.Update(time.Since(start).Seconds())
	if err != nil {
		h.refuseInHandshake(c, token, err, refuse)
		return
	}
	names, user, ok := h.autoJoin(rights.Who{User: id.User, Claims: id.Claims, Looked: id.Looked})
	if !ok {
		refuse(changedMeanwhile, wire.CloseExpired, comeAgainReason)
		return
	}
	id.User = user
	tier, ok := h.takeUser(id)
	if !ok {
		h.logLimit(c, h.limit.Hit(limits.User), id.User)
		refuse(fault{code: wire.CodeLimit, text: tooManyOfUser}, wire.CloseTooMany, tooManyOfUser)
		return
	}
	next := phJoining
	if manual {
		next = phManual
	}
	if err := h.admit(c, s, id, tier, was, next, start); err != nil {
		h.limit.Users.Give(id.User, 0)
		if err != errOver {
			h.refuseInHandshake(c, token, err, refuse)
		}
		return
	}
	c.SetAuthenticated(true)
	q := getRequest()
	q.out = wire.AppendAuthenticated(q.out[:0], h.told(c, id))
	c.SendText(q.out)
	putRequest(q)
	if !manual {
		h.joinFirst(c, s, names, wishes{snapshot: true}, start)
	}
}

const tooManyOfUser = "limit reached: too many connections of this user"

func unavailable(why string, retry int) upgrade.Verdict {
	return upgrade.Verdict{Status: http.StatusServiceUnavailable, Body: why + "; try again later\n", RetryAfter: retry}
}
