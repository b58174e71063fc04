package session

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
	"tapecast/server/rights"
)

// asking is a request for rooms on its way to the appenders: the names, and the faults so far.
type asking struct {
	names  []string
	faults []fault // of each name; nil: there are none
	refs   []loop.RoomRef
	strays []string // rooms in since that the request does not join
	who    rights.Who
	by     *ruleSet // which has judged them
}

// ask checks which rooms may be joined, and reserves them; the loop does it for those of wildcards.
func (h *Handler) ask(c conn, s *session, user string, names []string, w wishes) *asking {
	a := &asking{names: names, refs: make([]loop.RoomRef, 0, len(names)), who: h.who(c), by: h.rules.Load()}
	wildcards, full, row := 0, []limits.Kind(nil), h.row(s)
	for i, name := range names {
		if strings.Contains(name, "*") && wildcards >= row.Wildcards && !w.noWildcards {
			a.refuse(i, h.tooManyWildcards(row.Wildcards)) // before its rooms are judged, which takes long
			continue
		}
		p, wildcard, f := h.admits(a.by, a.who, name)
		if wildcard && !f.is() {
			f = h.checkWildcard(name, w, wildcards, row.Wildcards)
			wildcards++
		}
		if f.code == wire.CodeForbidden {
			h.forbidden[f.verdict].Add(1)
			h.note("forbidden room", c, user, "", slog.String("room", jsontext.Quoted(name)))
			if a.by.unsure(a.who) {
				h.comeAgain(c, s)
			}
		}
		if f.is() {
			a.refuse(i, f)
			continue
		}
		if p.Bare && w.keys != nil {
			a.refuse(i, badParams("params.keys: the room's frames are bare, without keys"))
			continue
		}
		ref := loop.RoomRef{Name: name, Pattern: p, Snapshot: w.snapshot && p.Class.Snapshot, Keys: w.keys}
		ref.Every = max(p.Class.Interval, w.every)
		if since, ok := w.sinceOf(name, p); ok {
			ref.Since = &since
		}
		ref.SinceTime = w.times[name]
		if wildcard {
			h.makeWildcard(c, s, user, &ref, w)
		} else if n, by := h.reserve(c, s, 1); n == 0 {
			a.refuse(i, overMost(tooManyRooms(by)))
			if !slices.Contains(full, by) {
				full = append(full, by)
			}
			continue
		}
		a.refs = append(a.refs, ref)
	}
	for _, k := range full {
		h.overLimit(c, k, user)
	}
	return a
}

func tooManyRooms(by limits.Kind) string {
	if by == limits.UserRooms {
		return "too many rooms of this user, over all connections"
	}
	return "too many rooms on this connection"
}

func (a *asking) refuse(i int, f fault) {
	if a.faults == nil {
		a.faults = make([]fault, len(a.names))
	}
	a.faults[i] = f
}

func (a *asking) fault(i int) fault {
	if a.faults == nil {
		return fault{}
	}
	return a.faults[i]
}

// each calls visit for the rooms in the order they were named, with the answer for each.
func (a *asking) each(joined []loop.Joined, visit func(name string, j *loop.Joined, f fault)) {
	for i, name := range a.names {
		if f := a.fault(i); f.is() {
			visit(name, nil, f)
			continue
		}
		j := &joined[0]
		joined = joined[1:]
		visit(name, j, joinFault(j.Err))
	}
}

// joinFault returns the fault for an error of package rooms or loop.
func joinFault(err error) fault {
	var old *rooms.TooOldError
	var notNow *rooms.NotNowError
	var limit *loop.LimitError
	var over *overBudget
	switch {
	case err == nil:
		return fault{}
	case errors.As(err, &over):
		return fault{code: wire.CodeRate, text: err.Error(), retryAfter: over.retry}
	case errors.As(err, &old):
		return fault{code: wire.CodeTooOld, text: err.Error(), oldest: &old.Oldest}
	case errors.As(err, &notNow):
		return fault{code: wire.CodeNotNow, text: err.Error(), retryAfter: max(notNow.RetryAfter, time.Millisecond)}
	case errors.As(err, &limit), errors.Is(err, rooms.ErrTooManyRooms), errors.Is(err, rooms.ErrEmptyRooms),
		errors.Is(err, rooms.ErrGuestRooms):
		return overMost(err.Error())
	default:
		return fault{code: wire.CodeSubscribe, text: "subscription failed: " + err.Error()}
	}
}

// failures returns how many rooms were reserved but not joined.
func failures(joined []loop.Joined) (n int) {
	for i := range joined {
		switch j := &joined[i]; {
		case j.Wildcard && j.Already: // nothing was reserved
		case j.Wildcard: // a refused wildcard has reserved nothing
			n += failures(j.Rooms)
		case j.Err != nil, j.Already:
			n++
		}
	}
	return n
}

// joinFirst joins the rooms of the authentication in one step. The reply comes before their frames.
func (h *Handler) joinFirst(c conn, s *session, names []string, w wishes, start time.Time) {
	user, stream := s.name(), streamOfConn(c)
	names, w = stream.first(names, w)
	w.noWildcards = true
	a := h.ask(c, s, user, names, w)
	a.strays = h.strays(names, w, h.row(s).Wildcards)
	counted := s.enter(1)
	c.Join(a.refs, func(joined []loop.Joined) []byte {
		if counted {
			s.leave(1)
		}
		h.release(c, s, failures(joined))
		h.siftIf(c, a)
		h.countEmpty(c, joined, user)
		s.mu.Lock()
		if s.phase == phJoining {
			s.phase = phOpen
		}
		s.mu.Unlock()
		h.joinTime.Update(time.Since(start).Seconds())
		return a.appendAutoSubscribed(make([]byte, 0, autoSubscribedSize(joined)), joined)
	})
	h.follow(c, stream, user, start)
}

// autoSubscribedSize returns about the size of the notice: a buffer that grows is copied.
func autoSubscribedSize(joined []loop.Joined) int {
	n := 192
	for i := range joined {
		// The name occurs four times. A partition and its offset take about 16 bytes.
		n += 48 + 4*len(joined[i].Name) + len(joined[i].Class) + 16*len(joined[i].Positions.Offsets)
	}
	return n
}

// appendAutoSubscribed appends the notice that names the rooms joined on authentication. errors has
// the rooms that could not be joined, and, with recovered beside the error, those that could not
// continue from where the client was. It is left out if there are none. recovered is left out if
// the client did not resume.
func (a *asking) appendAutoSubscribed(dst []byte, joined []loop.Joined) []byte {
	dst = wire.AppendAutoSubscribed(dst)
	dst = append(dst, `{"globalRooms":`...)
	dst, public := a.appendNames(dst, joined, false)
	dst = append(dst, `,"userRooms":`...)
	dst, private := a.appendNames(dst, joined, true)
	dst = append(dst, `,"totalRooms":`...)
	dst = strconv.AppendInt(dst, int64(public+private), 10)
	if public+private > 0 {
		dst = appendKinds(dst, joined)
	}
	dst = append(dst, `,"positions":{`...)
	from := len(dst)
	for i := range joined {
		if j := &joined[i]; j.Err == nil {
			dst = wire.AppendString(wire.AppendComma(dst, from), j.Name)
			dst = j.Positions.AppendJSON(append(dst, ':'))
		}
	}
	dst = append(dst, '}')
	dst = appendPartial(dst, joined)
	dst = appendRecovered(dst, joined)
	late := slices.ContainsFunc(joined, func(j loop.Joined) bool { return j.TooOld != nil })
	if late || public+private < len(a.names) || len(a.strays) > 0 {
		dst = append(dst, `,"errors":[`...)
		from = len(dst)
		a.each(joined, func(name string, j *loop.Joined, f fault) {
			switch {
			case f.is():
				dst = appendRefused(wire.AppendComma(dst, from), name, f)
			case j.TooOld != nil:
				dst = appendUnrecovered(wire.AppendComma(dst, from), name, joinFault(j.TooOld))
			}
		})
		for _, name := range a.strays {
			dst = appendRefused(wire.AppendComma(dst, from), name,
				strayFault(name, "is not joined on authentication: send its position with subscribe"))
		}
		dst = append(dst, ']')
	}
	return append(dst, "}}"...)
}

// appendRecovered appends, by room, whether a client that resumes gets everything since.
func appendRecovered(dst []byte, joined []loop.Joined) []byte {
	from := 0
	for i := range joined {
		if j := &joined[i]; j.Err == nil && j.Since {
			if from == 0 {
				dst = append(dst, `,"recovered":{`...)
				from = len(dst)
			}
			dst = wire.AppendString(wire.AppendComma(dst, from), j.Name)
			dst = strconv.AppendBool(append(dst, ':'), j.TooOld == nil)
		}
	}
	if from > 0 {
		dst = append(dst, '}')
	}
	return dst
}

// appendPartial appends the list of rooms that may lack last values, if there are any.
func appendPartial(dst []byte, joined []loop.Joined) []byte {
	partial := func(j loop.Joined) bool { return j.Err == nil && j.Partial }
	if !slices.ContainsFunc(joined, partial) {
		return dst
	}
	dst = append(dst, `,"partial":[`...)
	from := len(dst)
	for i := range joined {
		if partial(joined[i]) {
			dst = wire.AppendString(wire.AppendComma(dst, from), joined[i].Name)
		}
	}
	return append(dst, ']')
}

// appendNames appends the list of joined rooms that are private, or that are not.
func (a *asking) appendNames(dst []byte, joined []loop.Joined, private bool) (_ []byte, n int) {
	dst = append(dst, '[')
	from := len(dst)
	for i := range joined {
		if joined[i].Err == nil && a.refs[i].Pattern.Class.Private() == private {
			dst = wire.AppendString(wire.AppendComma(dst, from), joined[i].Name)
			n++
		}
	}
	return append(dst, ']'), n
}
