package upgrade

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
)

// subprotocol is selected if it is offered and the verdict names no other.
const subprotocol = "tapecast.v1"

// acceptGUID is from RFC 6455, section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Site says what is served beside refusals.
type Site struct {
	Path  string  // that is upgraded; "": any
	Files []*File // beside it
	// MaxHead is how many bytes a request may have without its body.
	MaxHead int
	// Stream is the path of streams of events (see stream.go); "": there are none. MaxBody is how many
	// bytes the body of a request for one may have.
	Stream  string
	MaxBody int
	// Allows reports whether pages of an origin may read streams. Nil: all may.
	Allows func(origin string) bool
}

// Answer reads a request from b (RFC 6455 section 4.2), which holds all that has come of it. s is zero,
// or comes from the call with less of it.
//
// If status is 0, more bytes are needed: call again with them appended. Answer never asks for more
// than MaxHead and MaxBody. If it is 101, the connection is upgraded once response is sent, and
// b[used:] are the first frames, sent early. If decide has granted a Request with Stream set, events
// follow the response, and nothing more must be read. Otherwise response refuses, or has one of the
// files, and says Connection: close, and nothing more must be read either.
//
// decide is called at most once, with a valid request. Neither it nor Answer keeps any part of b.
func (s *Scan) Answer(b []byte, site *Site, remote netip.AddrPort, decide func(*Request) Verdict) (
	response []byte, used, status int) {
	if s.need > len(b) {
		return nil, 0, 0
	}
	used, r := s.requestEnd(b, site.MaxHead)
	if r.status != 0 {
		return Refuse(Verdict{Status: r.status, Body: r.why}, b), len(b), r.status
	}
	if used == 0 {
		return nil, 0, 0
	}
	var a asked
	r = a.read(string(b[:used]))
	if r.status == 0 {
		var of *streamed
		if of, r = a.stream(site); of != nil {
			return s.answerStream(b, used, &a, of, r, site, remote, decide)
		}
	}
	return a.answer(r, site, b, used, remote, decide)
}

// answer is Answer for any other complete request; r is why it is refused already.
func (a *asked) answer(r refusal, site *Site, b []byte, used int, remote netip.AddrPort,
	decide func(*Request) Verdict) ([]byte, int, int) {
	var req *Request
	if r.status == 0 {
		req, r = a.request(site.Path)
	}
	if f := a.file(site.Files, r); f != nil {
		response, status := f.answer(a)
		return response, used, status
	}
	if r.status != 0 {
		return Refuse(Verdict{Status: r.status, Body: r.why}, b), used, r.status
	}
	req.Remote = remote
	v := decide(req)
	if v.Status != 0 {
		return Refuse(v, b), used, v.Status
	}
	return a.accept(v.Subprotocol, v.Deflate && req.Deflate), used, http.StatusSwitchingProtocols
}

// request checks a complete request that should be an upgrade.
func (a *asked) request(servedPath string) (*Request, refusal) {
	if a.method != http.MethodGet {
		return nil, refusal{http.StatusMethodNotAllowed, "only GET is served here"}
	}
	path, query, ok := a.location()
	switch {
	case !ok:
		return nil, bad("bad request target")
	case servedPath != "" && path != servedPath:
		return nil, refusal{http.StatusNotFound, "not found: WebSocket is served at " + servedPath}
	case !a.upgrade:
		return nil, webSocketOnly("Upgrade: websocket")
	case !a.connection:
		return nil, webSocketOnly("Connection: Upgrade")
	case a.wsVersion != "13":
		return nil, refusal{http.StatusUpgradeRequired, "Sec-WebSocket-Version is not 13"}
	case !goodKey(a.key):
		return nil, bad("Sec-WebSocket-Key is not 16 bytes in base64")
	}
	return a.wish(path, query)
}

// wish returns the Request for the caller.
func (a *asked) wish(path, query string) (*Request, refusal) {
	inQuery, err := queryParam(query, "token")
	if err != nil && a.bearer == "" {
		return nil, bad("the query's token is badly encoded")
	}
	deflate, ok := offersDeflate(field(a.lines, "Sec-WebSocket-Extensions"))
	if !ok {
		return nil, bad("bad Sec-WebSocket-Extensions")
	}
	lines := a.lines
	return &Request{
		Path: path, Query: query, Token: cmp.Or(a.bearer, inQuery, a.token),
		Subprotocols: a.protocols, Deflate: deflate,
		Header: func(name string) string { return field(lines, name) },
	}, refusal{}
}

// webSocketOnly refuses a request without a field that an upgrade must have.
func webSocketOnly(field string) refusal {
	const why = "WebSocket only: the request lacks %q (a proxy may have dropped it)"
	return refusal{http.StatusUpgradeRequired, fmt.Sprintf(why, field)}
}

// accept returns the answer that upgrades.
func (a *asked) accept(want string, deflate bool) []byte {
	var seed [24 + len(acceptGUID)]byte
	copy(seed[copy(seed[:], a.key):], acceptGUID)
	sum := sha1.Sum(seed[:])

	b := make([]byte, 0, 304)
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	b = append(b, "Sec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if p := a.choose(want); p != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), p...)
	}
	if deflate {
		b = append(b, "\r\nSec-WebSocket-Extensions: permessage-deflate; "...)
		b = append(b, "server_no_context_takeover; client_no_context_takeover"...)
	}
	return append(b, "\r\n\r\n"...)
}

// choose returns the subprotocol to select: the wanted one, or our own, if it was offered. A
// browser gives up if it offered some and none was chosen. So a client that offered only its token
// gets "bearer.TOKEN" back, or "bearer" for "bearer, TOKEN".
func (a *asked) choose(want string) string {
	if want = cmp.Or(want, subprotocol); slices.Contains(a.protocols, want) {
		return want
	}
	if len(a.protocols) == 0 {
		return a.offered
	}
	return ""
}

// isHead reports whether a request is HEAD, whose answer must not have a body (RFC 9110, 9.3.2).
func isHead(b []byte) bool { return bytes.HasPrefix(b, []byte("HEAD ")) }

// Refuse returns the answer that refuses the request, with the fields that its status requires. The
// answer to HEAD has no body.
func Refuse(v Verdict, request []byte) []byte {
	if isHead(request) {
		return refuse(v, http.MethodHead, "")
	}
	return refuse(v, "", "")
}

// refuse is Refuse for a method. A page of the origin may read the answer; "": none may.
func refuse(v Verdict, method, origin string) []byte {
	if v.Status < 400 || v.Status > 599 {
		panic(fmt.Sprintf("BUG: an upgrade is refused with status %d", v.Status))
	}
	v.Body = cmp.Or(v.Body, http.StatusText(v.Status))
	b := make([]byte, 0, 256+len(v.Body))
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(v.Status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(v.Status)...)
	b = append(b, "\r\nConnection: close"...)
	switch v.Status {
	case http.StatusUnauthorized:
		b = append(b, "\r\nWWW-Authenticate: Bearer"...)
	case http.StatusMethodNotAllowed:
		b = append(b, "\r\nAllow: "+cmp.Or(v.allow, http.MethodGet)...)
	case http.StatusUpgradeRequired:
		b = append(b, ", Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"...)
	}
	if v.RetryAfter > 0 {
		b = append(b, "\r\nRetry-After: "...)
		b = strconv.AppendInt(b, int64(v.RetryAfter), 10)
	}
	if v.Close > 0 {
		b = strconv.AppendInt(append(b, "\r\nTapecast-Close: "...), int64(v.Close), 10)
	}
	b = appendAllowed(append(b, "\r\n"...), origin)
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(v.Body)+1), 10)
	b = append(b, "\r\n\r\n"...)
	if method == http.MethodHead {
		return b
	}
	return append(append(b, v.Body...), '\n')
}
