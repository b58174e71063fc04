package session

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/auth/revoked"
	"tapecast/server/config"
	"tapecast/server/limits"
	"tapecast/server/logging"
	"tapecast/server/rights"
)

// Handler decides what clients get (loop.Handler). Its methods run on pollers and loops, many at a
// time, and never block. Its state of a connection is the session.
type Handler struct {
	auth       *auth.Authenticator
	limit      *limits.Limiter
	rules      atomic.Pointer[ruleSet]
	revoked    *revoked.List
	catalog    *rooms.Catalog
	timeout    time.Duration // to authenticate
	claim      string        // that names an account's tier
	maxEarly   int           // bytes of a message before authentication
	maxLong    int           // and after it
	node       string        // begins each client's id
	origins    []string      // of pages that may connect; nil: any
	maxSession time.Duration // after the first token; 0: any time
	queryToken bool          // a token may come in the URL
	drain      time.Duration // over which all connections of a node are closed
	certified  bool          // clients may have certificates, which bound their sessions
	deflate    bool          // some class compresses
	log        *slog.Logger
	security   *logging.Security // nil: none
	begun      time.Time         // debts are counted from here
	wall       func() time.Time  // the wall clock, replaced in tests

	again again // connections whose tokens must be looked at again

	accepting  atomic.Bool
	tiersKnown func() bool               // nil: they are
	authTime   Timing                    // to check one token
	joinTime   Timing                    // from the token to auto_subscribed
	calls      [opPing + 1]atomic.Uint64 // requests by method
	faults     atomic.Uint64             // requests answered with an error
	forbidden  [rights.Verdicts]atomic.Uint64
	withdrawn  atomic.Uint64 // rooms that connections were made to leave
	unruled    atomic.Uint64 // connections that were closed because rules were replaced
	services   atomic.Uint64 // times that one was authenticated
}

// New returns a Handler of the configuration. It accepts no handshakes yet.
func New(
	cfg *config.Config, catalog *rooms.Catalog, auth *auth.Authenticator, limit *limits.Limiter,
	security *logging.Security, log *slog.Logger,
) *Handler {
	var node [5]byte
	rand.Read(node[:]) // never fails
	h := &Handler{
		auth: auth, limit: limit, catalog: catalog, security: security, log: log,
		certified: cfg.Server.TLS.AsksClients(),
		timeout:   cfg.Auth.Timeout, origins: cfg.Auth.Origins, queryToken: cfg.Auth.QueryToken,
		maxSession: cfg.Auth.MaxSession, drain: cfg.Server.Drain, again: newAgain(),
		claim:    cfg.Limits.Claim,
		maxEarly: cfg.Server.EarlyMessage(), maxLong: int(cfg.Server.MaxMessage),
		node: strings.ToLower(base32.StdEncoding.EncodeToString(node[:])),
		authTime: newTiming("tapecast_auth_seconds", 10e-6, 25e-6, 50e-6, 100e-6, 250e-6,
			500e-6, 1e-3, 5e-3, 25e-3),
		joinTime: newTiming("tapecast_join_seconds", 100e-6, 250e-6, 500e-6,
			1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5),
		begun: time.Now(), wall: time.Now, revoked: newRevoked(&cfg.Auth, log),
	}
	if err := h.SetRules(cfg); err != nil {
		panic(fmt.Sprintf("BUG: a configuration that was not checked: %s", err))
	}
	for _, class := range cfg.Classes {
		h.deflate = h.deflate || class.Compress
	}
	return h
}

// Accept sets whether handshakes are accepted. At first they are not.
func (h *Handler) Accept(yes bool) { h.accepting.Store(yes) }

// Accepting reports whether handshakes are accepted.
func (h *Handler) Accepting() bool { return h.accepting.Load() }

// SweepBudgets forgets some of the debts that are paid off. It is called from time to time.
func (h *Handler) SweepBudgets() { h.limit.Sweep(h.elapsed(time.Now())) }

// Faults returns how many requests were answered with an error.
func (h *Handler) Faults() uint64 { return h.faults.Load() }

// Calls calls visit with the number of requests of each method.
func (h *Handler) Calls(visit func(method string, n uint64)) {
	for op, name := range [...]string{"unknown", "authenticate", "subscribe", "unsubscribe",
		"list_subscriptions", "ping"} {
		visit(name, h.calls[op].Load())
	}
}

// Timings returns the times to check one token, and from the token to auto_subscribed.
func (h *Handler) Timings() []Timing { return []Timing{h.authTime, h.joinTime} }

// timer checks a session: it was not authenticated in time, or its token expires.
func (h *Handler) timer(c conn) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	now := h.wall()
	s.mu.Lock()
	switch end := s.end(h.auth.Leeway()); {
	case s.phase == phClosed:
		s.mu.Unlock()
	case s.phase.pending():
		s.closeLocked(h.limit)
		s.mu.Unlock()
		h.log.Info("a client did not authenticate in time", "conn", c.ID(), "remote", c.Remote())
		h.note("authentication timeout", c, "", "")
		h.say(c, idNull, fault{code: wire.CodeAuthLate, text: "authentication timeout"})
		c.Close(wire.CloseAuthLate, "authentication timeout")
	case s.anonymousLocked():
		h.anonymousTimer(c, s, now)
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
		next := s.nextTimerLocked(h.auth.Leeway(), now)
		s.mu.Unlock()
		if say {
			c.SendText(wire.AppendExpiring(nil, expires, end.Sub(now)))
		}
		c.SetTimer(next)
	}
}

// closed is called once for every connection that open saw.
func (h *Handler) closed(c conn, code int) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closeLocked(h.limit)
	user, rooms, anonymous := s.user, s.rooms, s.expires == anonymously
	if all, name := h.accountLocked(c, s); all != nil {
		all.Give(name, int(rooms))
	}
	s.user, s.rooms = "", 0
	if anonymous {
		s.expires = anonymouslyGone
	}
	setClaimsLocked(c, auth.Identity{})
	s.mu.Unlock()
	if anonymous {
		h.limit.Anonymous.Give(c.Remote().Addr())
	}
	h.limit.Conns.Add(-1)
	h.debug("closed", c, user, slog.Int("code", code))
}

// Engine is the handler as the engine calls it.
func (h *Handler) Engine() loop.Handler { return loopHandler{h} }

// loopHandler is the handler as the loop sees it.
type loopHandler struct{ h *Handler }

// Open decides on a handshake.
func (l loopHandler) Open(c *loop.Conn, r *upgrade.Request) upgrade.Verdict {
	v := l.h.open(c, r)
	v.Deflate, v.Marked = l.h.deflate, r.Stream != "" && r.Path != r.Stream
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

// Payer returns who pays for what the connection causes: its user, or the address of one without.
func (l loopHandler) Payer(c *loop.Conn) rooms.Payer { return l.h.pays(c) }

// Closed frees what the connection held.
func (l loopHandler) Closed(c *loop.Conn, code int) { l.h.closed(c, code) }
