package session

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
	"tapecast/server/limits"
)

// A client that reads a stream of events says everything in its request: POST has what authenticate
// and subscribe take in one object, and GET names one room and has its wishes in the query. It goes
// the same way as a client of a WebSocket whose token came in the handshake. When it is let in,
// joinFirst joins the rooms that auto_join names, or none if the request names rooms, and subscribe
// serves those at once.

// streamed is the session of such a client.
type streamed struct {
	ruled
	q      *request // a subscribe; nil: it was served
	auth   authRequest
	wishes wishes
	named  bool // the request names rooms
}

// streamOf reads a request for a stream. A verdict other than zero refuses it.
func (h *Handler) streamOf(r *upgrade.Request) (*streamed, upgrade.Verdict) {
	s := &streamed{ruled: ruled{session: session{phase: phClosed}}}
	body := r.Body
	if room, one := strings.CutPrefix(r.Path, r.Stream+"/"); one {
		var why string
		if body, why = getBody(room, r); why != "" {
			return nil, refusedStream(badParams(why))
		}
	}
	const head = `{"jsonrpc":"2.0","id":1,"method":"subscribe","params":`
	text := append(append(append(make([]byte, 0, len(head)+len(body)+1), head...), body...), '}')
	s.q = new(request)
	if f := s.q.parse(text); f.is() {
		return nil, refusedStream(f)
	}
	f := s.read()
	if f.is() {
		return nil, refusedStream(f)
	}
	if r.Token == "" {
		r.Token = s.auth.token
	}
	if r.Token == "" && !s.auth.anonymous && !s.auth.certificate {
		return nil, upgrade.Verdict{Status: http.StatusUnauthorized,
			Body: "no token: send the header Authorization: Bearer TOKEN, or token in the body"}
	}
	return s, upgrade.Verdict{}
}

// read checks what the request's object says.
func (s *streamed) read() (f fault) {
	if s.auth, f = authParams(s.q); f.is() {
		return f
	}
	if s.named = s.q.get("rooms") != nil; s.named {
		_, _, f = s.q.roomNames()
	}
	if !f.is() {
		s.wishes, f = s.q.wishes()
	}
	switch {
	case f.is():
	case s.auth.join != nil:
		return badParams("params.join is not known here: name the rooms in params.rooms")
	case s.wishes.keys != nil && !s.named:
		return badParams("params.keys are for rooms that are named in params.rooms")
	}
	return f
}

// getBody makes of a GET the object that a POST would have.
func getBody(room string, r *upgrade.Request) (body []byte, why string) {
	if strings.Contains(room, "*") {
		return nil, "a wildcard cannot be read by GET: POST " + r.Stream + ` with {"rooms":["` + room + `"]}`
	}
	b := append([]byte(`{"rooms":[`), wire.AppendString(nil, room)...)
	b = append(b, ']')
	if keys := r.Params("key"); len(keys) > 0 {
		b = append(b, `,"keys":[`...)
		for i, key := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendString(b, key)
		}
		b = append(b, ']')
	}
	if rate := r.Param("max_rate"); rate != "" {
		n, err := strconv.ParseFloat(rate, 64)
		if err != nil {
			return nil, "max_rate must be a number of sends a second, from 0.001 to 1000"
		}
		b = strconv.AppendFloat(append(b, `,"max_rate":`...), n, 'g', -1, 64)
	}
	if snapshot := r.Param("snapshot"); snapshot == "false" {
		b = append(b, `,"snapshot":false`...)
	} else if snapshot != "" && snapshot != "true" {
		return nil, "snapshot must be true or false"
	}
	if r.Param("anonymous") == "true" {
		b = append(b, `,"anonymous":true`...)
	}
	id := r.Header("Last-Event-ID")
	if id == "" {
		id = r.Param("since")
	}
	if id != "" {
		at, ok := rooms.ParseMark(id)
		if !ok {
			return nil, "Last-Event-ID, or since, is not the id of an event: " + jsontext.Quoted([]byte(id))
		}
		b = append(wire.AppendString(append(b, `,"since":{`...), room), ':')
		b = append(at.AppendJSON(b), '}')
	}
	return append(b, '}'), ""
}

// refusedStream returns the HTTP answer for a fault. Unlike the answer to an upgrade, a page can read it.
func refusedStream(f fault) upgrade.Verdict {
	v := upgrade.Verdict{Status: http.StatusBadRequest, Body: f.text}
	switch f.code {
	case wire.CodeAuth:
		v.Status = http.StatusUnauthorized
	case wire.CodeRate, wire.CodeLimit:
		v.Status = http.StatusTooManyRequests
	case wire.CodeNotNow:
		v.Status = http.StatusServiceUnavailable
	}
	if f.retryAfter > 0 {
		v.RetryAfter = seconds(f.retryAfter)
	}
	return v
}

// openStream lets a client in that has no token.
func (h *Handler) openStream(c conn, s *streamed) {
	q := getRequest()
	defer putRequest(q)
	q.id = append(q.idBuf[:0], '0')
	if s.auth.certificate {
		h.authenticateByCertificate(c, &s.session, q, phPending, s.auth, time.Now())
		return
	}
	h.authenticateAnonymous(c, &s.session, q, phPending, s.auth, time.Now())
}

// streamOfConn returns the session of a client that reads a stream; nil: it does not.
func streamOfConn(c conn) *streamed {
	s, _ := c.Session().(*streamed)
	return s
}

// first returns the rooms that joinFirst joins, and the wishes for them.
func (s *streamed) first(names []string, w wishes) ([]string, wishes) {
	switch {
	case s == nil:
		return names, w
	case s.named:
		return nil, wishes{}
	}
	return names, s.wishes
}

// follow joins the rooms that the request names. It runs once, right after joinFirst has asked for
// its own, by the goroutine that let the client in.
func (h *Handler) follow(c conn, s *streamed, user string, now time.Time) {
	if s == nil || s.q == nil {
		return
	}
	q := s.q
	s.q = nil
	if !s.named {
		return
	}
	h.limit.Requests.Add(1)
	h.calls[opSubscribe].Add(1)
	v, retry := h.charge(c, user, q.cost(0), h.elapsed(now))
	if v != limits.OK {
		h.overLimit(c, limits.Cost, user)
		h.hangUp(c, &s.session, q.id, fault{code: wire.CodeRate, text: rateCost, retryAfter: retry},
			wire.CloseRate, "rate limited")
		return
	}
	h.subscribe(c, &s.session, q, user)
}
