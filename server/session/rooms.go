package session

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
)

// subscribe serves the method. An object is answered room by room, and a list, as Binance's clients
// send it, with null if the client is now in all rooms, or else one error that names the others.
func (h *Handler) subscribe(c conn, s *session, q *request, user string) {
	names, list, f := q.roomNames()
	var w wishes
	if !f.is() {
		w, f = q.wishes()
	}
	if !f.is() {
		if strays := h.strays(names, w, h.row(s).Wildcards); len(strays) > 0 {
			f = strayFault(strays[0], "is not joined by this request: name it in params.rooms")
		}
	}
	if f.is() {
		h.fail(c, q, f)
		return
	}
	done, ok := h.waits(c, s, q, user)
	if !ok {
		return
	}
	a, id := h.ask(c, s, user, names, w), slices.Clone(q.id)
	c.Join(a.refs, func(joined []loop.Joined) (reply []byte) {
		done()
		h.release(c, s, failures(joined))
		h.siftIf(c, a)
		h.countWildcards(c, joined, user)
		h.countEmpty(c, joined, user)
		a.each(joined, func(_ string, _ *loop.Joined, f fault) { streamOfConn(c).endWithout(c, f) })
		switch {
		case len(id) == 0:
			return nil
		case list:
			reply = a.appendListReply(nil, id, joined)
		default:
			reply = a.appendRoomsReply(make([]byte, 0, 64+128*len(names)), id, joined)
		}
		h.spend(c, user, 0, len(reply))
		return reply
	})
}

func (a *asking) appendRoomsReply(dst, id []byte, joined []loop.Joined) []byte {
	dst = append(wire.AppendResult(dst, id), `{"rooms":[`...)
	from := len(dst)
	a.each(joined, func(name string, j *loop.Joined, f fault) {
		dst = wire.AppendComma(dst, from)
		if f.is() {
			dst = appendRefused(dst, name, f)
			return
		}
		dst = appendJoined(dst, j, "joined")
	})
	return append(dst, "]}}"...)
}

// maxNamed is how many rooms one error names at most.
const maxNamed = 10

func (a *asking) appendListReply(dst, id []byte, joined []loop.Joined) []byte {
	text, n, retry := "subscription failed", 0, time.Duration(0)
	a.each(joined, func(name string, _ *loop.Joined, f fault) {
		if !f.is() {
			return
		}
		retry = max(retry, f.retryAfter)
		if n++; n <= maxNamed {
			text += "; " + jsontext.Quoted(name) + ": " + f.text
		}
	})
	if n > maxNamed {
		text += "; and " + strconv.Itoa(n-maxNamed) + " more"
	}
	if n > 0 {
		return appendError(dst, id, fault{code: wire.CodeSubscribe, text: text, retryAfter: retry})
	}
	return wire.AppendNull(dst, id)
}

// unsubscribe serves the method. A list is answered with null, whatever rooms the client was in.
func (h *Handler) unsubscribe(c conn, s *session, q *request, user string) {
	names, list, f := q.roomNames()
	if f.is() {
		h.fail(c, q, f)
		return
	}
	done, ok := h.waits(c, s, q, user)
	if !ok {
		return
	}
	id := slices.Clone(q.id)
	c.Leave(names, func(left []loop.Joined) (reply []byte) {
		done()
		n := roomsIn(left)
		h.release(c, s, n)
		switch {
		case len(id) == 0:
		case list:
			reply = wire.AppendNull(nil, id)
		default:
			reply = appendRooms(id, left, "left")
		}
		h.spend(c, user, n-len(names), len(reply)) // the rooms of wildcards were not named
		return reply
	})
}

func (h *Handler) list(c conn, s *session, q *request, user string) {
	if len(q.id) == 0 {
		return
	}
	done, ok := h.waits(c, s, q, user)
	if !ok {
		return
	}
	id := slices.Clone(q.id)
	c.List(func(in []loop.Joined) []byte {
		done()
		reply := appendRooms(id, in, "joined")
		h.spend(c, user, 0, len(reply))
		return reply
	})
}

func appendRooms(id []byte, list []loop.Joined, status string) []byte {
	dst := append(wire.AppendResult(make([]byte, 0, 64+128*len(list)), id), `{"rooms":[`...)
	from := len(dst)
	for i := range list {
		dst = wire.AppendComma(dst, from)
		if err := list[i].Err; err != nil {
			dst = appendRefused(dst, list[i].Name,
				fault{code: wire.CodeSubscribe, text: "unsubscribe failed: " + err.Error()})
			continue
		}
		dst = appendJoined(dst, &list[i], status)
	}
	return append(dst, "]}}"...)
}

// countEmpty counts and logs a request for more rooms without data than its user or pattern may have.
func (h *Handler) countEmpty(c conn, joined []loop.Joined, user string) {
	over := func(j loop.Joined) bool {
		return errors.Is(j.Err, rooms.ErrEmptyRooms) || errors.Is(j.Err, rooms.ErrTooManyRooms) ||
			errors.Is(j.Err, rooms.ErrGuestRooms)
	}
	for _, j := range joined {
		if over(j) || slices.ContainsFunc(j.Rooms, over) {
			h.logLimit(c, h.limit.Hit(limits.EmptyRooms), user)
			return
		}
	}
}
