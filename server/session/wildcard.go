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
	"tapecast/server/rights"
)

// admitsWildcard returns the pattern whose rooms a name with a star asks for.
func (h *Handler) admitsWildcard(by *ruleSet, who rights.Who, name string) (*rooms.Pattern, fault) {
	prefix, ok := strings.CutSuffix(name, "*")
	if !ok || strings.Contains(prefix, "*") {
		return nil, fault{code: wire.CodeNoRoom, text: "unknown room: only a * at the end of a name is a wildcard"}
	}
	p, others := h.catalog.Under(prefix)
	switch {
	case p == nil:
		return nil, fault{code: wire.CodeNoRoom,
			text: "unknown room: a wildcard must begin with the whole prefix of a pattern" + example(others)}
	case p.Class.Private():
		return nil, forbidden(rights.EachOnes, true)
	case p.Bare:
		return nil, badParams(loop.ErrBareWildcard.Error())
	case len(others) > 0:
		return nil, fault{code: wire.CodeNoRoom,
			text: fmt.Sprintf("unknown room: such names belong to more than one pattern, %q and %q: write more "+
				"before the star", p.Match, others[0].Match)}
	}
	return p, forbidden(by.AdmitsUnder(who, p, prefix), true)
}

func example(near []*rooms.Pattern) string {
	for _, p := range near {
		if !p.Class.Private() && !p.Bare {
			return fmt.Sprintf(", such as %q", p.Prefix()+"*")
		}
	}
	return ""
}

// checkWildcard returns a fault of a wildcard besides its name. before is how many came before it,
// of as many as there may be.
func (h *Handler) checkWildcard(name string, w wishes, before, most int) fault {
	switch {
	case w.noWildcards:
		return badParams("wildcards are not joined on authentication: send subscribe")
	case before >= most: // before all positions are looked at
		return h.tooManyWildcards(most)
	}
	for room := range w.times {
		if room != name && strings.HasPrefix(room, strings.TrimSuffix(name, "*")) {
			return badParams("params.since[" + jsontext.Quoted(room) + "].ts: a room of a wildcard takes positions, " +
				"not a time; name it in params.rooms to start at a time")
		}
	}
	return fault{}
}

func (h *Handler) tooManyWildcards(most int) fault {
	h.limit.Hit(limits.Wildcards)
	return overMost((&loop.LimitError{Name: limits.Wildcards.String(), Most: most}).Error())
}

func (h *Handler) makeWildcard(c conn, s *session, user string, ref *loop.RoomRef, w wishes) {
	prefix := strings.TrimSuffix(ref.Name, "*")
	ref.Wildcard = true
	row := h.row(s)
	if ref.Wildcards, ref.MostRooms = row.Wildcards, row.RoomsPerWildcard; ref.MostRooms == 0 {
		ref.MostRooms = -1
	}
	for room := range w.since {
		if !strings.HasPrefix(room, prefix) || room == ref.Name {
			continue
		}
		if p, _, _ := h.catalog.Resolve(room); p == ref.Pattern {
			if ref.SinceByRoom == nil {
				ref.SinceByRoom = map[string]rooms.Positions{}
			}
			ref.SinceByRoom[room], _ = w.sinceOf(room, p)
		}
	}
	joins := true // the client does not cause later rooms
	ref.Reserve = func(n int) error {
		if joins {
			joins = false
			if v, retry := h.charge(c, user, int64(n), h.elapsed(time.Now())); v != limits.OK {
				h.overLimit(c, limits.Cost, user)
				return &overBudget{fmt.Sprintf("the wildcard has %d rooms, which costs too much now", n),
					max(retry, time.Second)}
			}
		}
		if got, by := h.reserve(c, s, n); got < n {
			h.release(c, s, got)
			h.limit.Hit(by)
			return &loop.LimitError{Name: by.String(), Most: mostRooms(h.row(s), by), Asked: n}
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
			if k == limits.Rooms || k == limits.UserRooms { // it was counted with the request
				h.logOnce(c, k, user)
			} else {
				h.overLimit(c, k, user)
			}
		}
	}
}

// roomsIn counts the rooms that were left, including those of wildcards.
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

// appendWildcard appends what the answer for a wildcard has beyond that for a room. These are the
// positions up to which all its rooms were sent, and the rooms, each as if it had been named.
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
