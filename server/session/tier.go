package session

import (
	"time"

	"tapecast/loop"
	"tapecast/server/auth"
	"tapecast/server/config"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
)

// AwaitTiers makes all handshakes wait until the tiers of accounts are known: a connection keeps the tier that
// its token had when it came. It is called before Accept.
func (h *Handler) AwaitTiers(known func() bool) { h.tiersKnown = known }

// takeUser counts a connection for its user, and returns the account's tier. ok is false if the user has
// as many connections as it may.
func (h *Handler) takeUser(id auth.Identity) (tier limits.Tier, ok bool) {
	tier = h.tierOf(id)
	return tier, h.limit.Users.Take(id.User, h.limit.Row(tier).ConnectionsPerUser)
}

// tierOf returns the tier that a token names. A name that no row has is counted, and logged once a
// minute.
func (h *Handler) tierOf(id auth.Identity) limits.Tier {
	name := id.Claims.Value(h.claim)
	if name == "" {
		return 0
	}
	tier, ok := h.limit.TierOf(name)
	if !ok && h.limit.Tiered() {
		h.limit.UnknownTiers.Add(1)
		if h.limit.MayLogTier(h.elapsed(time.Now())) {
			h.log.Warn("a token names a tier that limits.tiers does not have, and has the limits of none",
				"user", id.User, "claim", h.claim, "tier", jsontext.Quoted(name[:min(len(name), config.MaxTierName)]))
		}
	}
	return tier
}

// setTierLocked gives a session the tier of its token. other reports whether it had another one.
func (h *Handler) setTierLocked(s *session, tier limits.Tier, now time.Time) (other bool) {
	other = tier != s.marks.tier()
	from := h.limit.Row(s.marks.tier())
	s.paid = h.limit.Row(tier).Carry(s.paid, from, h.elapsed(now))
	s.marks.setTier(tier)
	return other
}

// BytesPerSecond returns how many bytes a second a connection may be sent. 0: any number. It runs on loops.
func (h *Handler) BytesPerSecond(c *loop.Conn) int64 {
	s := sessionOf(c)
	if s == nil {
		return 0
	}
	return h.row(s).BytesPerSecond
}

// Metered counts that messages of a connection's rooms wait because of that. It runs on loops.
func (h *Handler) Metered(c *loop.Conn) { h.overLimit(c, limits.Bytes, h.user(c)) }

// client returns who pays for what a connection causes: a client without a user pays with those of its
// address.
func (h *Handler) client(c conn, user string) limits.Client {
	who := limits.Client{ID: c.ID(), User: user}
	if s := sessionOf(c); s != nil {
		s.mu.Lock()
		who.Tier = s.marks.tier()
		guest := s.expires == anonymously
		s.mu.Unlock()
		if guest && h.limit.Sharing() {
			who.User = limits.AnonymousPayer(c.Remote().Addr())
		}
	}
	return who
}
