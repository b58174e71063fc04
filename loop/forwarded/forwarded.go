package forwarded

import (
	"errors"
	"net/netip"
	"strings"
)

// The two fields.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded"
)

// maxNode is the longest node that is read: an IPv6 address, and a port or its name.
const maxNode = 128

// maxProxies is the most proxies that a request may have passed.
const maxProxies = 32

var (
	errAddress = errors.New("it holds something that is not an address")
	errForm    = errors.New("it is not of the form of RFC 7239")
	errMany    = errors.New("it names more than 32 trusted proxies")
)

// Client returns the address that is last in the value of a field and not trusted. It is invalid if
// the value has none, as in a trusted proxy's own request. If the proxies do not know the client or
// hide it, it is invalid too.
func Client(field, value string, trusted func(netip.Addr) bool) (netip.AddrPort, error) {
	nodes := strings.Split(value, ",")
	if field == Forwarded {
		var err error
		if nodes, err = forNodes(value); err != nil {
			return netip.AddrPort{}, err
		}
	}
	passed := 0
	for i := len(nodes) - 1; i >= 0; i-- {
		node := strings.Trim(nodes[i], " \t")
		if node == "" && field != Forwarded { // lists may have empty elements
			continue
		}
		from, hidden, ok := address(node)
		switch {
		case !ok:
			return netip.AddrPort{}, errAddress
		case hidden:
			return netip.AddrPort{}, nil
		case !trusted(from.Addr()):
			return from, nil
		}
		if passed++; passed > maxProxies {
			return netip.AddrPort{}, errMany
		}
	}
	return netip.AddrPort{}, nil
}

// address reads a node (RFC 7239, section 6): an address with or without a port, one that is unknown,
// or a name that stands for one. Brackets around an IPv6 address may be missing.
func address(s string) (from netip.AddrPort, hidden, ok bool) {
	if s == "" || s[0] == '_' || strings.EqualFold(s, "unknown") {
		return from, true, true
	}
	if len(s) > maxNode {
		return from, false, false
	}
	inner, bracketed := s, false
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner, bracketed = s[1:len(s)-1], true
	}
	if a, err := netip.ParseAddr(inner); err == nil && a.Zone() == "" && (!bracketed || a.Is6()) {
		return netip.AddrPortFrom(a.Unmap(), 0), false, true
	}
	host, port, found := cutPort(s)
	if found && strings.HasPrefix(port, "_") { // a port that is hidden
		return address(host)
	}
	if p, err := netip.ParseAddrPort(s); err == nil && p.Addr().Zone() == "" {
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), false, true
	}
	return from, false, false
}

// cutPort cuts a node at the colon before its port.
func cutPort(s string) (host, port string, found bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 || strings.HasPrefix(s, "[") && s[at-1] != ']' {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

// forNodes returns the node of each element of Forwarded; "" where it has none.
func forNodes(s string) (nodes []string, err error) {
	node, pairs, has := "", 0, false
	for {
		s = strings.TrimLeft(s, " \t")
		n := tokenLen(s)
		if n > 0 {
			var value string
			name := s[:n]
			if value, s, err = pairValue(s[n:]); err != nil {
				return nil, err
			}
			if strings.EqualFold(name, "for") {
				if has {
					return nil, errForm
				}
				node, has = value, true
			}
			pairs++
		}
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "" || s[0] == ',':
			if pairs > 0 { // lists may have empty elements
				nodes = append(nodes, node)
			}
			if s == "" {
				return nodes, nil
			}
			node, pairs, has = "", 0, false
		case s[0] != ';':
			return nil, errForm
		default:
			pairs = max(pairs, 1)
		}
		s = s[1:]
	}
}

// pairValue reads what follows a pair's name: an equals sign, and a token or a quoted string.
func pairValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, "=") {
		return "", "", errForm
	}
	s = s[1:]
	if !strings.HasPrefix(s, `"`) {
		n := tokenLen(s)
		if n == 0 {
			return "", "", errForm
		}
		return s[:n], s[n:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errForm
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errForm
}

// tokenLen returns the length of the token at the start of s. Colons and brackets belong to it,
// since proxies are seen that write addresses with them and without quotes.
func tokenLen(s string) int {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && (c <= ' ' || c >= 0x7F || strings.IndexByte("!#$%&'*+-.^_`|~:[]/@?", c) < 0) {
			return i
		}
	}
	return len(s)
}
