package upgrade

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/gobwas/httphead"
)

// Request is a client's upgrade request. Its strings share one piece of memory that holds the whole
// request, so clone what is kept.
type Request struct {
	Path  string // percent-decoded
	Query string // as it was sent, without "?"; see Param
	// Token authenticates the client. It comes from "Authorization: Bearer TOKEN", else from
	// "?token=TOKEN", else from an offered subprotocol "bearer.TOKEN", or from two of them,
	// "bearer" and TOKEN. A browser can send no other. "": none.
	Token string
	// Header returns a field's value by its name, in any case. It is "" if the field is missing,
	// and joined by ", " if it came more than once.
	Header       func(name string) string
	Remote       netip.AddrPort
	Subprotocols []string // offered ones, without those with a token
	// Deflate says that permessage-deflate was offered in a way that we can accept.
	Deflate bool

	// Stream is set if the request is for a stream of events instead of an upgrade: it is Site.Stream.
	// Body is the request's body. It is valid only during the call.
	Stream string
	Body   []byte
}

// Verdict answers a Request. Its zero value grants it.
type Verdict struct {
	Status     int    // 0: upgrade; else the HTTP status of the refusal, 400 to 599
	Body       string // text of a refusal; "": the status's own text
	RetryAfter int    // of a refusal, in seconds; 0: none
	// Subprotocol is selected if the client offered it. "" means tapecast.v1.
	Subprotocol string
	// Deflate accepts permessage-deflate if Request.Deflate is set.
	Deflate bool
	// Marked gives the events of a stream ids. The client may be in one room then.
	Marked bool

	// Close is the code with which a connection would be closed for the same reason. The refusal of a
	// stream has it in the field Tapecast-Close. 0: none.
	Close int

	allow string // the methods, of status 405; "": GET
}

// Param returns the decoded value of the first query parameter of that name. It is "" if the
// parameter is missing, empty or badly encoded.
func (r *Request) Param(name string) string {
	v, _ := queryParam(r.Query, name)
	return v
}

// Params returns the decoded values of all query parameters of that name, without those that are badly
// encoded.
func (r *Request) Params(name string) (values []string) {
	for pair := range strings.SplitSeq(r.Query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(k); err == nil && k == name {
			if v, err := url.QueryUnescape(v); err == nil {
				values = append(values, v)
			}
		}
	}
	return values
}

func queryParam(query, name string) (value string, err error) {
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(k); err == nil && k == name {
			return url.QueryUnescape(v)
		}
	}
	return "", nil
}

// fieldLine splits a "Name: value" line without its CR LF. ok is false for what RFC 9112 section 5
// does not allow: a bad or missing name, white space before the colon, a folded line, control
// bytes.
func fieldLine(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return "", "", false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7F {
			return "", "", false
		}
	}
	return name, strings.Trim(value, " \t"), true
}

// field returns the value of a field among lines that fieldLine has accepted.
func field(lines, name string) string {
	var values []string
	for line := range strings.SplitSeq(lines, "\r\n") {
		if k, v, ok := fieldLine(line); ok && sameName(k, name) {
			values = append(values, v)
		}
	}
	return strings.Join(values, ", ")
}

func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
			c > ' ' && c < 0x7F && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// offersDeflate reports whether a Sec-WebSocket-Extensions field offers permessage-deflate (RFC
// 7692, 7.1) in a way that we can accept. A smaller window of the server, which the answer would
// have to take up, is not. ok reports whether the field is well-formed.
func offersDeflate(extensions string) (offered, ok bool) {
	if extensions == "" {
		return false, true
	}
	at, good := -1, false
	var seen [4]bool
	ok = httphead.ScanOptions([]byte(extensions), func(i int, name, param, value []byte) httphead.Control {
		if i != at {
			offered = offered || good
			at, good, seen = i, string(name) == "permessage-deflate", [4]bool{}
		}
		if param == nil {
			return httphead.ControlContinue
		}
		k := 0
		switch string(param) {
		case "server_no_context_takeover", "client_no_context_takeover":
			if param[0] == 'c' {
				k = 1
			}
			good = good && value == nil
		case "client_max_window_bits":
			k = 2
			good = good && (value == nil || validBits(string(value)))
		case "server_max_window_bits":
			k = 3
			good = good && string(value) == "15"
		default:
			good = false
		}
		good = good && !seen[k]
		seen[k] = true
		return httphead.ControlContinue
	})
	return ok && (offered || good), ok
}

func validBits(s string) bool {
	return len(s) == 1 && s[0] >= '8' && s[0] <= '9' || len(s) == 2 && s[0] == '1' && s[1] >= '0' && s[1] <= '5'
}
