package upgrade

import (
	"net/netip"
	"net/url"
	"strings"
)

// Request is a client's upgrade request. Its strings are parts of one piece of
// memory that holds all of the request: clone what is kept.
type Request struct {
	Path  string // percent-decoded
	Query string // as it was sent, without "?"; see Param
	// Token is what the client authenticates with: from "Authorization: Bearer
	// TOKEN", else from "?token=TOKEN", else from an offered subprotocol
	// "bearer.TOKEN", or two of them, "bearer" and TOKEN, which is all that a browser can
	// send. "": none.
	Token string
	// Header gives a field's value, its name in any case: "" where it is
	// missing, joined by ", " where it came more than once.
	Header       func(name string) string
	Remote       netip.AddrPort
	Subprotocols []string // offered ones, without those that carry a token
	// Deflate reports that permessage-deflate was offered in a way that can be agreed to.
	Deflate bool
}

// Verdict answers a Request. Its zero value upgrades.
type Verdict struct {
	Status     int    // 0: upgrade; else the HTTP status to refuse with, 400 to 599
	Body       string // text of a refusal; "": the status's own text
	RetryAfter int    // seconds, of a refusal; 0: not said
	// Subprotocol to select, where the client offered it. "": tapecast.v1 where
	// it was offered.
	Subprotocol string
	// Deflate agrees to permessage-deflate, where Request.Deflate says that it was offered.
	Deflate bool
}

// Param returns the decoded value of the first query parameter of that name,
// or "": it is missing, empty, or badly encoded.
func (r *Request) Param(name string) string {
	v, _ := queryParam(r.Query, name)
	return v
}

func queryParam(query, name string) (value string, err error) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(k); err == nil && k == name {
			return url.QueryUnescape(v)
		}
	}
	return "", nil
}

// fieldLine takes one "Name: value" line, without its CR LF, apart. ok is
// false for what RFC 9112 section 5 does not allow: no or a bad name, white
// space before the colon, a folded line, control bytes.
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

// field finds a field among lines that fieldLine has accepted.
func field(lines, name string) string {
	var value string
	found := false
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		k, v, ok := fieldLine(line)
		if !ok || !sameName(k, name) {
			continue
		}
		if found {
			v = value + ", " + v
		}
		value, found = v, true
	}
	return value
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
