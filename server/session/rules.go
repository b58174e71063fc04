package session

import (
	"slices"
	"time"

	"tapecast/loop"
	"tapecast/rooms/wire"
	"tapecast/server/config"
	"tapecast/server/rights"
)

// The rules may be replaced while clients are connected (SetRules). What was judged by the ones before is
// judged again: the rooms that a connection has by Sift, which is then called for every connection, and
// those of a request under way once it is done (siftIf).

// ruleSet is the rules of a configuration. It does not change once made.
type ruleSet struct {
	*rights.Rules
	anonymous bool   // clients without a token are let in
	looked    uint16 // for how many names a token was looked at whose claims are all known
}

// SetRules takes allow, anonymous and auth.services of a configuration. auto_join and the owners of
// classes must be those of the start. After an error nothing has changed.
func (h *Handler) SetRules(cfg *config.Config) (err error) {
	by := &ruleSet{Rules: rights.New(cfg, h.catalog), anonymous: cfg.Anonymous.On()}
	if _, err = h.auth.Keep(h.claim); err != nil {
		return err
	}
	if by.looked, err = h.auth.Keep(by.Claims()...); err != nil {
		return err
	}
	h.limit.SetAnonymous(&cfg.Anonymous)
	h.rules.Store(by)
	h.auth.KeepOnly(append(slices.Clone(by.Claims()), h.claim)...) // not before: the old rules need the others
	h.again.forget()
	return nil
}

// unsure reports whether the rules name claims that the token of somebody was not looked at for, since
// it came before them. What is refused then might be allowed.
func (by *ruleSet) unsure(who rights.Who) bool { return !who.Anonymous && who.Looked < by.looked }

// Sift judges the rooms of a connection again, after SetRules. It runs on the loop.
func (h *Handler) Sift(c *loop.Conn) { h.siftAfterRules(c) }

func (h *Handler) siftAfterRules(c conn) {
	s := sessionOf(c)
	if s == nil {
		return
	}
	s.mu.Lock()
	anonymous, in := s.expires == anonymously, s.phase.authenticated()
	s.mu.Unlock()
	switch {
	case !in:
	case anonymous:
		if !h.endIfOff(c, s) {
			h.sift(c)
		}
	default:
		h.siftOr(c, func(c conn, _ *session) { h.again.add(c) })
	}
}

// endIfOff closes a client without a token if none is let in any more. It is called once its session is
// anonymous, and again after each change of rules. So a change at that moment is seen by one of the two.
func (h *Handler) endIfOff(c conn, s *session) (off bool) {
	if off = !h.rules.Load().anonymous; off {
		h.endBy(c, s, wire.CloseAuth, anonymousOff)
	}
	return off
}

// autoJoin returns the configured rooms of somebody, and the user with whom their names share memory. ok is
// false if the rules name claims that the token was not looked at for: rooms could be left out for that.
func (h *Handler) autoJoin(who rights.Who) (names []string, user string, ok bool) {
	by := h.rules.Load()
	if by.unsure(who) {
		return nil, "", false
	}
	names, user = by.AutoJoin(who)
	return names, user, true
}

const comeAgainReason = "the rules have changed: come back with your token"

// changedMeanwhile answers a token that was looked at before the rules changed.
var changedMeanwhile = fault{code: wire.CodeNotNow, retryAfter: time.Second, text: "not now: " + comeAgainReason}

// comeAgain closes a connection whose token must be looked at again. Its client gets what it may when it
// comes with it.
func (h *Handler) comeAgain(c conn, s *session) {
	h.endBy(c, s, wire.CloseExpired, comeAgainReason)
}

// endBy closes a connection because of the rules.
func (h *Handler) endBy(c conn, s *session, code int, reason string) {
	s.mu.Lock()
	user, first := s.user, s.closeLocked(h.limit)
	s.mu.Unlock()
	if !first {
		return
	}
	h.unruled.Add(1)
	h.debug("closed by rules", c, user)
	h.note("closed", c, user, reason)
	c.SetTimer(time.Time{})
	c.Close(code, reason)
}

// Unruled returns how many connections were closed because rules were replaced.
func (h *Handler) Unruled() uint64 { return h.unruled.Load() }

// sift makes a connection leave the rooms that its claims do not allow, by the rules as they are then. If
// its token must be looked at again it is closed.
func (h *Handler) sift(c conn) {
	h.siftOr(c, h.comeAgain)
}

// siftOr is sift that calls unsure where the token must be looked at again.
func (h *Handler) siftOr(c conn, unsure func(conn, *session)) {
	s := sessionOf(c)
	if s == nil || !beginSift(c) {
		return
	}
	c.List(func(in []loop.Joined) []byte {
		endSift(c)
		who, by := h.who(c), h.rules.Load()
		var names []string
		for i := range in {
			if _, _, f := h.admits(by, who, in[i].Name); f.is() {
				names = append(names, in[i].Name)
			}
		}
		switch {
		case len(names) == 0:
		case by.unsure(who):
			unsure(c, s)
		default:
			c.Leave(names, func(left []loop.Joined) []byte { return h.taken(c, s, left) })
		}
		return nil
	})
}

// beginSift returns false if a sift is under way that has not looked at the claims yet. Where a session
// has no claims it is only sifted when rules are replaced.
func beginSift(c conn) bool {
	r := ruledOf(c)
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	queued := r.sifting
	r.sifting = true
	return !queued
}

func endSift(c conn) {
	if r := ruledOf(c); r != nil {
		r.mu.Lock()
		r.sifting = false
		r.mu.Unlock()
	}
}

// siftIf is called when rooms were joined that were judged by somebody's claims and by rules. Both may
// have changed meanwhile.
func (h *Handler) siftIf(c conn, judged *asking) {
	if h.who(c).Claims != judged.who.Claims || h.rules.Load() != judged.by {
		h.sift(c)
	}
}
