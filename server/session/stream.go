package session

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"

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
	asks   []*request // a subscribe each; nil: they were served
	auth   authRequest
	wishes wishes // for the rooms of auto_join
	named  bool   // the request names rooms, or says that it has none
	one    bool   // it is a GET, and without its room the stream is of no use
}

// maxAsks is how many subscribes one request for a stream may have.
const maxAsks = 64

// streamOf reads a request for a stream. A verdict other than zero refuses it.
func (h *Handler) streamOf(r *upgrade.Request) (*streamed, upgrade.Verdict) {
	s := &streamed{ruled: ruled{session: session{phase: phClosed}}}
	body := r.Body
	var room string
	if room, s.one = strings.CutPrefix(r.Path, r.Stream+"/"); s.one {
		var why string
		if body, why = getBody(room, r); why != "" {
			return nil, refusedStream(badParams(why))
		}
	}
	f := s.read(body)
	if f.is() {
		return nil, refusedStream(f)
	}
	if r.Token == "" {
		r.Token = s.auth.token
	}
	if r.Token == "" && !s.auth.anonymous && !s.auth.certificate {
		return nil, upgrade.Verdict{Status: http.StatusUnauthorized, Close: wire.CloseAuth,
			Body: "no token: send the header Authorization: Bearer TOKEN, or token in the body"}
	}
	return s, upgrade.Verdict{}
}

// subscribeOf parses a subscribe with that id and those params.
func subscribeOf(id, params []byte) (*request, fault) {
	text := append(append([]byte(`{"jsonrpc":"2.0","id":`), id...), `,"method":"subscribe","params":`...)
	q := new(request)
	f := q.parse(append(append(text, params...), '}'))
	return q, f
}

// read reads the body of a request.
func (s *streamed) read(body []byte) (f fault) {
	q, f := subscribeOf([]byte("1"), body)
	if f.is() {
		return f
	}
	if s.auth, f = authParams(q); f.is() {
		return f
	}
	if s.wishes, f = q.wishes(); f.is() {
		return f
	}
	list, rooms := q.get("requests"), q.get("rooms")
	s.named = list != nil || rooms != nil
	switch {
	case s.auth.join != nil:
		return badParams("params.join is not known here: name the rooms in params.rooms")
	case list != nil && rooms != nil:
		return badParams("params.requests and params.rooms contradict each other: send one of them")
	case list != nil:
		return s.readAsks(list)
	case rooms != nil:
		s.asks = []*request{q}
		_, _, f = q.roomNames()
	case s.wishes.keys != nil:
		return badParams("params.keys are for rooms that are named in params.rooms")
	}
	return f
}

// readAsks reads params.requests: a list of subscribes, each an object with the id of its reply and the
// params.
func (s *streamed) readAsks(v *fastjson.Value) fault {
	list, err := v.Array()
	if err != nil || len(list) > maxAsks {
		return badParams("params.requests must be a list of at most " + strconv.Itoa(maxAsks) +
			` subscribes, such as {"id":1,"params":{"rooms":["trades"]}}`)
	}
	for i, it := range list {
		id, params := it.Get("id"), it.Get("params")
		if id == nil || params == nil {
			return badParams("params.requests[" + strconv.Itoa(i) + "] must be an object with id and params")
		}
		q, f := subscribeOf(id.MarshalTo(nil), params.MarshalTo(nil))
		if f.is() {
			f.text += " (params.requests[" + strconv.Itoa(i) + "])"
			return f
		}
		s.asks = append(s.asks, q)
	}
	return fault{}
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

// endWithout ends a stream for one room that was not joined, because of f. The reply goes before.
func (s *streamed) endWithout(c conn, f fault) {
	if s == nil || !s.one || !f.is() {
		return
	}
	code := wire.CloseForbidden
	switch f.code {
	case wire.CodeRate, wire.CodeLimit:
		code = wire.CloseTooMany
	case wire.CodeNotNow, wire.CodeSubscribe:
		code = wire.CloseTryLater
	}
	c.Close(code, f.text)
}

// follow joins the rooms that the request names. It runs once, right after joinFirst has asked for
// its own, by the goroutine that let the client in.
func (h *Handler) follow(c conn, s *streamed, user string, now time.Time) {
	if s == nil {
		return
	}
	asks := s.asks
	s.asks, s.auth, s.wishes = nil, authRequest{}, wishes{}
	for _, q := range asks {
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
}
