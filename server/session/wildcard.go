package session

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
)

// admitsWildcard finds the pattern whose rooms a name with a star in it asks for.
func (h *Handler) admitsWildcard(name string) (*rooms.Pattern, fault) {
	prefix, ok := strings.CutSuffix(name, "*")
	if !ok || strings.Contains(prefix, "*") {
		return nil, fault{code: wire.CodeNoRoom, text: "unknown room: only a * at the end of a name is a wildcard"}
	}
	p, others := h.catalog.Under(prefix)
	switch {
	case p == nil:
		return nil, fault{code: wire.CodeNoRoom, text: "unknown room: a wildcard begins with all that the names of a pattern have in common" + example(others)}
	case p.Class.Private():
		return nil, fault{code: wire.CodeForbidden, text: "forbidden: each of these rooms is one user's; name your own"}
	case p.Bare:
		return nil, fault{code: wire.CodeParams, text: "invalid params: " + loop.ErrBareWildcard.Error()}
	case len(others) > 0:
		return nil, fault{code: wire.CodeNoRoom, text: fmt.Sprintf("unknown room: names like this are of more than one pattern, %q and %q: write more before the star", p.Match, others[0].Match)}
	}
	return p, fault{}
}

// example names a pattern that a client may have meant.
func example(near []*rooms.Pattern) string {
	for _, p := range near {
		if !p.Class.Private() && !p.Bare {
			return fmt.Sprintf(", such as %q", p.Prefix()+"*")
		}
	}
	return ""
}

// checkWildcard says what is against a wildcard besides its name, where the request
// has asked for so many before it.
func (h *Handler) checkWildcard(name string, w wishes, before int) fault {
	switch {
	case w.noWildcards:
		return fault{code: wire.CodeParams, text: "invalid params: wildcards are not joined on authentication: send subscribe"}
	case before >= h.maxWildcards: // before all that goes through places
		h.limit.Hit(limits.Wildcards)
		return fault{code: wire.CodeLimit, text: "limit reached: " + (&loop.LimitError{Name: limits.Wildcards.String(), Most: h.maxWildcards}).Error()}
	}
	for room := range w.times {
		if room != name && strings.HasPrefix(room, strings.TrimSuffix(name, "*")) {
			return fault{code: wire.CodeParams, text: "invalid params: params.since[" + jsontext.Quoted(room) +
				"].ts: a room under a wildcard takes positions, no time; name it in params.rooms to have it begin at a time"}
		}
	}
	return fault{}
}

// makeWildcard makes a wildcard of the request for a room.
func (h *Handler) makeWildcard(c conn, s *session, user string, ref *loop.RoomRef, w wishes) {
	prefix := strings.TrimSuffix(ref.Name, "*")
	ref.Wildcard = true
	for room, at := range w.since {
		if !strings.HasPrefix(room, prefix) || room == ref.Name {
			continue
		}
		if p, _, _ := h.catalog.Resolve(room); p == ref.Pattern {
			if ref.SinceByRoom == nil {
				ref.SinceByRoom = map[string]rooms.Positions{}
			}
			ref.SinceByRoom[room] = at
		}
	}
	joins := true // what appears later is not of the client's making
	ref.Reserve = func(n int) error {
		if joins {
			joins = false
			if v, retry := h.charge(c, user, int64(n), h.elapsed(time.Now())); v != limits.OK {
				h.overLimit(c, limits.Cost, user)
				return &overBudget{fmt.Sprintf("it takes %d rooms, and requests cost more than they may", n), max(retry, time.Second)}
			}
		}
		if got := s.reserve(n, h.maxRooms); got < n {
			s.release(got)
			h.limit.Hit(limits.Rooms)
			return &loop.LimitError{Name: limits.Rooms.String(), Most: h.maxRooms, Asked: n}
		}
		return nil
	}
}

// countWildcards counts and logs the wildcards that a limit has forbidden.
func (h *Handler) countWildcards(c conn, joined []loop.Joined, user string) {
	for i := range joined {
		var limit *loop.LimitError
		if !joined[i].Wildcard || !errors.As(joined[i].Err, &limit) {
			continue
		}
		for k := range limits.Kinds {
			if k.String() != limit.Name {
				continue
			}
			if k == limits.Rooms { // counted where it was asked
				h.logOnce(c, k, user)
			} else {
				h.overLimit(c, k, user)
			}
		}
	}
}

// roomsIn counts rooms that were left, those of wildcards too.
func roomsIn(left []loop.Joined) (n int) {
	for i := range left {
		switch j := &left[i]; {
		case j.Err != nil:
		case j.Wildcard:
			n += len(j.Rooms) + j.Untold
		default:
			n++
		}
	}
	return n
}

// appendWildcard appends what the answer for a wildcard has besides what a room's has: the place
// up to which all its rooms were sent, and those, each as if it had been named.
func appendWildcard(dst []byte, j *loop.Joined, status string) []byte {
	dst = j.Positions.AppendJSON(append(dst, `,"positions":`...))
	if j.Full {
		dst = append(dst, `,"full":true`...)
	}
	dst = appendHowResumed(dst, j)
	dst = append(dst, `,"rooms":[`...)
	from := len(dst)
	for i := range j.Rooms {
		r := &j.Rooms[i]
		dst = wire.AppendComma(dst, from)
		if r.Err != nil {
			dst = appendRefused(dst, r.Name, joinFault(r.Err))
			continue
		}
		dst = appendJoined(dst, r, status)
	}
	return append(dst, "]}"...)
}
