package server

import (
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/logging"
)

// handler decides what clients get: loop.Handler. Its methods run on pollers
// and loops, many at a time, and never block. What it keeps of a connection is
// the session.
type handler struct {
	auth     *authenticator
	limit    *limiter
	catalog  *rooms.Catalog
	auto     []autoRoom
	timeout  time.Duration // to authenticate
	maxRooms int           // of one connection; 0: any number
	maxWilds int           // wildcards of one connection
	maxEarly int           // bytes of a message before authentication
	maxLong  int           // and after it
	node     string        // begins each client's id
	deflate  bool          // some class compresses
	log      *slog.Logger
	security *logging.Security // nil: none
	begun    time.Time         // what debts are counted from
	wall     func() time.Time  // the clock on the wall; tests have one of their own

	accepting atomic.Bool
	times     timings
	calls     [opPing + 1]atomic.Uint64 // requests by method
	faults    atomic.Uint64             // requests answered with an error
}

func newHandler(cfg *config.Config, catalog *rooms.Catalog, auth *authenticator, limit *limiter, log *slog.Logger) *handler {
	var node [5]byte
	rand.Read(node[:]) // never fails
	h := &handler{
		auth: auth, limit: limit, catalog: catalog, log: log,
		timeout:  cfg.Auth.Timeout,
		maxRooms: cfg.Limits.RoomsPerConnection,
		maxWilds: cfg.Limits.WildcardsPerConnection,
		maxEarly: cfg.Server.EarlyMessage(), maxLong: int(cfg.Server.MaxMessage),
		node:  strings.ToLower(base32.StdEncoding.EncodeToString(node[:])),
		times: newTimings(),
		begun: time.Now(), wall: time.Now,
	}
	for _, class := range cfg.Classes {
		h.deflate = h.deflate || class.Compress
	}
	for _, name := range cfg.AutoJoin {
		before, after, sub := strings.Cut(name, "{sub}")
		h.auto = append(h.auto, autoRoom{before, after, sub})
	}
	return h
}

// open decides on a handshake. It counts the connection; closed counts it off
// where a session was attached.
func (h *handler) open(c conn, r *upgrade.Request) upgrade.Verdict {
	if !h.accepting.Load() {
		return unavailable("the server is stopping", 5)
	}
	if r.Token != "" && h.wornOut(c) > 0 {
		return unavailable("too many bad tokens came from this address", 5)
	}
	s := &session{phase: phClosed}
	if r.Token == "" && !c.Pend() {
		h.logLimit(c, h.limit.hit(limitPending), "")
		return unavailable("too many connections are waiting to authenticate", 5)
	}
	h.limit.conns.Add(1)
	if r.Token != "" {
		c.SetSession(s)
		h.openWithToken(c, s, r)
		return upgrade.Verdict{}
	}
	h.limit.pending.Add(1)
	s.phase = phPending
	c.SetSession(s)
	c.SetTimeout(h.timeout)
	q := getRequest()
	q.out = wire.AppendAuthRequired(q.out[:0], h.timeout, h.maxEarly)
	c.SendText(q.out)
	putRequest(q)
	return upgrade.Verdict{}
}

// openWithToken authenticates by the handshake. A browser sees nothing of an
// answer other than 101, so a bad token is refused after the upgrade.
func (h *handler) openWithToken(c conn, s *session, r *upgrade.Request) {
	start := time.Now()
	id, err := h.auth.ParseToken(r.Token)
	h.times.auth.Update(time.Since(start).Seconds())
	if err != nil {
		h.badToken(c)
		h.logRefused(c, "", err.Error())
		h.say(c, idNull, fault{code: wire.CodeAuth, text: authFailed + err.Error()})
		c.Close(closeOfToken(err))
		return
	}
	if !h.limit.users.take(id.user) {
		h.logLimit(c, h.limit.hit(limitUser), id.user)
		h.say(c, idNull, fault{code: wire.CodeLimit, text: tooManyOfUser})
		c.Close(wire.CloseTooMany, tooManyOfUser)
		return
	}
	manual := r.Param("join") == "manual"
	next := phJoining
	if manual {
		next = phManual
	}
	names, _ := h.admit(c, s, id, phClosed, next, start)
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

// timer is called when a session must be looked at: it was not authenticated
// in time, or its token expires.
func (h *handler) timer(c conn) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	now := h.wall()
	s.mu.Lock()
	switch end := s.end(h.auth.leeway); {
	case s.phase == phClosed:
		s.mu.Unlock()
	case s.phase == phPending:
		s.closeLocked(h.limit)
		s.mu.Unlock()
		h.log.Info("a client did not authenticate in time", "conn", c.ID(), "remote", c.Remote())
		h.note("authentication timeout", c, "", "")
		h.say(c, idNull, fault{code: wire.CodeAuthLate, text: "authentication timeout"})
		c.Close(wire.CloseAuthLate, "authentication timeout")
	case !now.Before(end):
		user := s.user
		s.closeLocked(h.limit)
		s.mu.Unlock()
		h.log.Info("a client's token expired", "conn", c.ID(), "user", user)
		c.Close(wire.CloseExpired, "token expired")
	default:
		expires, say := s.expires, false
		if s.lead > 0 && !now.Before(end.Add(-time.Duration(s.lead)*leadUnit)) {
			s.lead, say = 0, true
		}
		next := s.nextTimerLocked(h.auth.leeway, now)
		s.mu.Unlock()
		if say {
			c.SendText(wire.AppendExpiring(nil, expires, end.Sub(now)))
		}
		c.SetTimer(next)
	}
}

// closed is called once for every connection that open saw.
func (h *handler) closed(c conn, code int) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closeLocked(h.limit)
	user := s.user
	s.user = ""
	s.mu.Unlock()
	if user != "" {
		h.limit.users.give(user)
	}
	h.limit.conns.Add(-1)
	h.debug("closed", c, user, slog.Int("code", code))
}
