package upgrade

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// A stream of server-sent events is for clients on whose way WebSocket is blocked. It is asked for by
// a POST of Site.Stream, whose body says what is wanted, or by a GET of a path under it. Both are
// answered like an upgrade, once the body is there: by Request, Verdict and 200.

// streamed is a request for a stream, or about one.
type streamed struct {
	path, query string
	method      string // that is served at the path
	length      int    // of the body
}

// stream returns how the request asks for a stream. It is nil if the request's path is another one.
func (a *asked) stream(site *Site) (*streamed, refusal) {
	if site.Stream == "" {
		return nil, refusal{}
	}
	path, query, ok := a.location()
	room, under := strings.CutPrefix(path, site.Stream+"/")
	if !ok || path != site.Stream && !under {
		return nil, refusal{}
	}
	s := &streamed{path: path, query: query, method: http.MethodPost}
	if under {
		s.method = http.MethodGet
	}
	switch {
	case a.method == http.MethodOptions:
		return s, refusal{}
	case a.method != s.method:
		why := "only " + s.method + " is served here: POST " + site.Stream + ", GET " + site.Stream + "/ROOM"
		return s, refusal{http.StatusMethodNotAllowed, why}
	case under && room == "":
		return s, refusal{http.StatusNotFound, "no room is named: GET " + site.Stream + "/ROOM"}
	case a.expect:
		return s, refusal{http.StatusExpectationFailed, "100-continue is not served here: send the body at once"}
	case a.chunked:
		return s, refusal{http.StatusLengthRequired, "the body needs a Content-Length"}
	case under:
		return s, refusal{}
	case a.length == "":
		return s, refusal{http.StatusLengthRequired, "the body needs a Content-Length; without wishes it is {}"}
	}
	n, err := strconv.ParseUint(a.length, 10, 31)
	switch {
	case err != nil:
		return s, bad("bad Content-Length")
	case int(n) > site.MaxBody:
		why := "the body is longer than " + strconv.Itoa(site.MaxBody) + " bytes: ask for fewer rooms"
		return s, refusal{http.StatusRequestEntityTooLarge, why}
	}
	s.length = int(n)
	return s, refusal{}
}

// origin returns the value of Access-Control-Allow-Origin. It is empty if the page must not read the
// answer, or if no page asks.
func (a *asked) origin(site *Site) string {
	origin := field(a.lines, "Origin")
	switch {
	case origin == "":
		return ""
	case site.Allows == nil:
		return "*"
	case site.Allows(origin):
		return origin
	}
	return ""
}

// preflight answers a browser that asks whether a page may ask for a stream.
func preflight(origin string) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 204 No Content\r\nConnection: close\r\n")
	b = appendAllowed(b, origin)
	if origin != "" {
		b = append(b, "Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Max-Age: 600\r\n"+
			"Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendAllowed appends the fields that let a page of the origin read the answer.
func appendAllowed(b []byte, origin string) []byte {
	if origin == "" {
		return b
	}
	b = append(append(append(b, "Access-Control-Allow-Origin: "...), origin...), "\r\n"...)
	b = append(b, "Access-Control-Expose-Headers: Retry-After, Tapecast-Close\r\n"...)
	if origin != "*" {
		b = append(b, "Vary: Origin\r\n"...)
	}
	return b
}

// streams returns the answer that begins a stream. The stream ends with the connection, so that no
// event needs the header of a chunk.
func streams(origin string) []byte {
	b := append(make([]byte, 0, 320), "HTTP/1.1 200 OK\r\nConnection: close\r\n"+
		"Content-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n"+
		"X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n"...)
	return append(appendAllowed(b, origin), "\r\n"...)
}

// answerStream is Answer for a request for a stream, or about one. head is the length of its head, and
// r is why it is refused already.
func (s *Scan) answerStream(b []byte, head int, a *asked, of *streamed, r refusal, site *Site,
	remote netip.AddrPort, decide func(*Request) Verdict) (response []byte, used, status int) {
	origin, req := a.origin(site), (*Request)(nil)
	if r.status == 0 {
		if s.need = head + of.length; s.need > len(b) {
			return nil, 0, 0
		}
		req, r = a.wish(of.path, of.query)
	}
	v := Verdict{Status: r.status, Body: r.why, allow: of.method + ", OPTIONS"}
	if r.status == 0 {
		if a.method == http.MethodOptions {
			return preflight(origin), s.need, http.StatusNoContent
		}
		req.Remote, req.Stream, req.Body = remote, site.Stream, b[head:s.need]
		if v = decide(req); v.Status == 0 {
			return streams(origin), s.need, http.StatusOK
		}
	}
	return refuse(v, a.method, origin), len(b), v.Status
}
