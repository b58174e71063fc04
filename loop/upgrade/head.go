package upgrade

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxRequest is the most bytes of a request by default, including its last empty line. Browsers
// send under 1 KiB. A token may take 8 KiB more, and cookies 4.
const MaxRequest = 16 << 10

// refusal is why a request is refused. Its zero value means that it is not.
type refusal struct {
	status int
	why    string
}

func bad(why string) refusal { return refusal{http.StatusBadRequest, why} }

// asked holds what an upgrade needs of a request.
type asked struct {
	method, target, version string
	lines                   string // the field lines

	seen       uint16 // fields that may come only once
	upgrade    bool   // Upgrade lists websocket
	connection bool   // Connection lists Upgrade
	wsVersion  string
	key        string
	bearer     string // of Authorization
	token      string // of the subprotocols
	offered    string // the subprotocol to select if nothing else is offered; "": none
	pair       bool   // the last subprotocol was "bearer" alone
	protocols  []string

	length  string // of the body, as Content-Length has it
	chunked bool   // Transfer-Encoding says where the body ends
	expect  bool   // Expect is there
}

// Bits of asked.seen.
const (
	seenHost = 1 << iota
	seenKey
	seenVersion
	seenAuthorization
	seenLength
)

// Scan is how far an incomplete request was looked at. No byte is looked at twice, however small
// the pieces are. Its zero value has seen nothing.
type Scan struct {
	line int // where the incomplete line begins
	seen int // bytes without that line's end
	need int // bytes of the whole request with its body, once the head is there; 0: not known
}

// Body reports whether the head is there, and only the body is incomplete.
func (s *Scan) Body() bool { return s.need > 0 }

// requestEnd returns the length of the request at the start of b, or 0 while b lacks some of it, or
// why it cannot become valid. Lines must end in CR LF: a request that two readers understand
// differently can smuggle another one.
func (s *Scan) requestEnd(b []byte, most int) (int, refusal) {
	if len(b) > 0 && !tokenByte[b[0]] {
		return 0, bad("not an HTTP request")
	}
	full := len(b) >= most
	b = b[:min(len(b), most)]
	for {
		n := bytes.IndexByte(b[s.seen:], '\n')
		end := s.seen + n
		switch {
		case n < 0 && full:
			why := "the request is longer than " + strconv.Itoa(most) + " bytes: send fewer cookies"
			return 0, refusal{http.StatusRequestHeaderFieldsTooLarge, why}
		case n < 0:
			s.seen = len(b)
			return 0, refusal{}
		case end == s.line || b[end-1] != '\r':
			return 0, bad("a line does not end in CR LF")
		case end == s.line+1:
			return end + 1, refusal{}
		}
		s.line, s.seen = end+1, end+1
	}
}

// read parses a complete request. text ends in an empty line.
func (a *asked) read(text string) refusal {
	line, rest, _ := strings.Cut(text, "\r\n")
	var ok bool
	if a.method, line, ok = strings.Cut(line, " "); !ok || !isToken(a.method) {
		return bad("bad request line")
	}
	if a.target, a.version, ok = strings.Cut(line, " "); !ok || !isTarget(a.target) {
		return bad("bad request target")
	}
	if v := a.version; len(v) != 8 || v[:5] != "HTTP/" || !isDigit(v[5]) || v[6] != '.' || !isDigit(v[7]) {
		return bad("bad HTTP version")
	} else if v[5] != '1' || v[7] == '0' {
		return refusal{http.StatusHTTPVersionNotSupported, "HTTP/1.1 is needed"}
	}

	a.lines = rest[:len(rest)-2]
	for rest = a.lines; rest != ""; {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := fieldLine(line)
		if !ok {
			return bad("bad header line")
		}
		if r := a.field(name, value); r.status != 0 {
			return r
		}
	}
	if a.seen&seenHost == 0 {
		return bad("no Host")
	}
	return refusal{}
}

// field takes one field.
func (a *asked) field(name, value string) refusal {
	switch {
	case sameName(name, "Host"):
		if strings.ContainsAny(value, " \t,/?#@\\") {
			return bad("bad Host")
		}
		return a.once(seenHost, name)
	case sameName(name, "Upgrade"):
		return a.list(name, value, func(t string) { a.upgrade = a.upgrade || sameName(t, "websocket") })
	case sameName(name, "Connection"):
		return a.list(name, value, func(t string) { a.connection = a.connection || sameName(t, "upgrade") })
	case sameName(name, "Sec-WebSocket-Key"):
		a.key = value
		return a.once(seenKey, name)
	case sameName(name, "Sec-WebSocket-Version"):
		a.wsVersion = value
		return a.once(seenVersion, name)
	case sameName(name, "Sec-WebSocket-Protocol"):
		return a.list(name, value, a.protocol)
	case sameName(name, "Authorization"):
		if scheme, token, _ := strings.Cut(value, " "); sameName(scheme, "Bearer") {
			a.bearer = strings.TrimLeft(token, " ")
		}
		return a.once(seenAuthorization, name)
	case sameName(name, "Content-Length"):
		if a.length = value; value != "0" && a.method != http.MethodPost {
			return bad("an upgrade request has no body")
		}
		return a.once(seenLength, name)
	case sameName(name, "Transfer-Encoding"):
		if a.chunked = true; a.method != http.MethodPost {
			return bad("an upgrade request has no body")
		}
	case sameName(name, "Expect"):
		a.expect = true
	}
	return refusal{}
}

func (a *asked) once(bit uint16, name string) refusal {
	if a.seen&bit != 0 {
		return bad("two " + name + " headers")
	}
	a.seen |= bit
	return refusal{}
}

// list calls each for the tokens of a comma-separated list (RFC 9110, 5.6.1), whose elements may be
// empty. Tokens of Upgrade may have a /version.
func (a *asked) list(name, value string, each func(token string)) refusal {
	for t := range strings.SplitSeq(value, ",") {
		if t = strings.Trim(t, " \t"); t == "" {
			continue
		}
		protocol, version, versioned := strings.Cut(t, "/")
		if versioned && !(sameName(name, "Upgrade") && isToken(version)) || !isToken(protocol) {
			return bad("bad " + name)
		}
		each(t)
	}
	return refusal{}
}

const (
	// tokenProtocol begins a subprotocol that contains a token.
	tokenProtocol = "bearer."
	// pairProtocol is a subprotocol that is followed by a token.
	pairProtocol = "bearer"
)

func (a *asked) protocol(name string) {
	token, one := strings.CutPrefix(name, tokenProtocol)
	pair := a.pair && name != subprotocol
	a.pair = !pair && name == pairProtocol
	switch {
	case pair:
		a.carries(name, pairProtocol)
	case one:
		a.carries(token, name)
	case !a.pair:
		a.protocols = append(a.protocols, name)
	}
}

// carries takes the first token that subprotocols carry.
func (a *asked) carries(token, offered string) {
	if a.offered == "" {
		a.token, a.offered = token, offered
	}
}

// location returns the target's decoded path and its query.
func (a *asked) location() (path, query string, ok bool) {
	u, err := url.ParseRequestURI(a.target)
	// RFC 9112, 3.2.2: a server accepts the absolute form too.
	if err != nil || a.target[0] != '/' && u.Host == "" {
		return "", "", false
	}
	return cmp.Or(u.Path, "/"), u.RawQuery, true
}

// goodKey reports whether key is sixteen bytes in base64.
func goodKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(b) == 16
}

func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F || c == '#' {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
