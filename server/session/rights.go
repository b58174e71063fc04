package session

import (
	"log/slog"
	"slices"
	"strings"

	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/rights"
)

// The handler's side of who may join what, which package rights decides.

// admits finds the pattern of a room or wildcard, and checks whether it may be joined.
func (h *Handler) admits(by *ruleSet, who rights.Who, room string) (p *rooms.Pattern, wildcard bool, f fault) {
	if strings.Contains(room, "*") { // no user's name contains a star
		p, f = h.admitsWildcard(by, who, room)
		return p, true, f
	}
	p, owner, ok := h.catalog.Resolve(room)
	if !ok {
		return nil, false, fault{code: wire.CodeNoRoom, text: "unknown room"}
	}
	return p, false, forbidden(by.Admits(who, p, owner, room), false)
}

func forbidden(v rights.Verdict, wildcard bool) fault {
	text := ""
	switch {
	case v == rights.OK:
		return fault{}
	case v == rights.OtherUser:
		text = "forbidden: the room is another user's"
	case v == rights.NotAnonymous:
		text = "forbidden: without a token only the rooms listed for such clients may be joined"
	case v == rights.EachOnes:
		text = "forbidden: each of these rooms is one user's; name your own"
	case wildcard:
		text = "forbidden: the token's claims do not allow all rooms of this wildcard; name those that they do"
	default:
		text = "forbidden: the token's claims do not allow this room"
	}
	return fault{code: wire.CodeForbidden, text: text, verdict: v}
}

// noteService logs that a service was authenticated: it may join any room.
func (h *Handler) noteService(c conn, id auth.Identity) {
	if h.rules.Load().IsService(rights.Who{User: id.User, Claims: id.Claims}) {
		h.services.Add(1)
		h.log.Info("a service was authenticated", "conn", c.ID(), "user", id.User, "remote", c.Remote())
		h.note("service authenticated", c, id.User, "its claims fulfil auth.services")
	}
}

// taken answers for rooms that a connection was made to leave.
func (h *Handler) taken(c conn, s *session, left []loop.Joined) []byte {
	n := roomsIn(left)
	h.release(c, s, n)
	if !slices.ContainsFunc(left, func(j loop.Joined) bool { return j.Err == nil }) {
		return nil // the client has left them itself
	}
	h.withdrawn.Add(uint64(n))
	h.note("rooms withdrawn", c, s.name(), "its claims do not allow them, or the rules have changed",
		slog.Int("rooms", n))
	dst := wire.AppendLeft(make([]byte, 0, 160+128*len(left)), wire.CodeForbidden,
		forbidden(rights.NotAllowed, false).text)
	from := len(dst)
	for i := range left {
		if left[i].Err == nil {
			dst = appendJoined(wire.AppendComma(dst, from), &left[i], "left")
		}
	}
	return append(dst, "]}}"...)
}

// Forbidden returns how many rooms and wildcards were refused because of who asked, by the reason.
func (h *Handler) Forbidden(visit func(reason string, n uint64)) {
	for v := rights.OtherUser; v < rights.Verdicts; v++ {
		visit(v.String(), h.forbidden[v].Load())
	}
}

// Services returns how many times a service was authenticated.
func (h *Handler) Services() uint64 { return h.services.Load() }

// Withdrawn returns how many rooms connections were made to leave.
func (h *Handler) Withdrawn() uint64 { return h.withdrawn.Load() }
