package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// expiry is a certificate that ends by its date: that of a port, one that those of clients lead to, or
// one that a key came with.
type expiry struct {
	of         string // the key of the configuration
	name       string // which of several; "": there is one
	begin, end time.Time
}

// soon reports whether health warns: in the last two weeks, and of a certificate with a short life in
// the last quarter of it.
func (e *expiry) soon(now time.Time) bool {
	return e.end.Sub(now) < min(expirySoon, e.end.Sub(e.begin)/4)
}

// String says when it ends.
func (e *expiry) String() string {
	said := e.of
	if e.name != "" {
		said += " (" + e.name + ")"
	}
	verb := "expires"
	if !time.Now().Before(e.end) {
		verb = "has expired"
	}
	return said + " " + verb + ": " + e.end.UTC().Format(time.RFC3339)
}

// expiries returns those of the port's certificate and of the certificates for clients.
func (c *certificate) expiries() (list []expiry) {
	if c == nil {
		return nil
	}
	leaf := c.pair.Load().Leaf
	list = append(list, expiry{of: c.key, begin: leaf.NotBefore, end: leaf.NotAfter})
	if cas := c.clientCAs.Load(); cas != nil {
		for _, ca := range *cas {
			list = append(list, expiry{of: c.key + ".client_ca_file", name: atMost(ca.Subject.String()),
				begin: ca.NotBefore, end: ca.NotAfter})
		}
	}
	return list
}

// certificateExpiries returns those of the ports.
func (s *Server) certificateExpiries() []expiry {
	return append(s.certificate.expiries(), s.adminCertificate.expiries()...)
}

// keyExpiries returns those of the keys that tokens are checked with.
func (s *Server) keyExpiries() (list []expiry) {
	for _, e := range s.auth.Expiries() {
		name := ""
		if e.Name != "" {
			name = fmt.Sprintf("kid %.60q", e.Name)
		}
		list = append(list, expiry{e.Of, name, e.Begin, e.End})
	}
	return list
}

// mostExpiries is how many certificates health names.
const mostExpiries = 4

// expiryTroubles are what expires. Nothing stops at once: clients refuse a certificate that has expired,
// those with certificates under one that has are refused, and keys are used beyond their dates.
func (s *Server) expiryTroubles() []trouble {
	bad := func(of func() []expiry) func() (bool, string) {
		return func() (bool, string) {
			now := time.Now()
			list := slices.DeleteFunc(of(), func(e expiry) bool { return !e.soon(now) })
			slices.SortFunc(list, func(a, b expiry) int {
				return cmp.Or(a.end.Compare(b.end), cmp.Compare(a.name, b.name))
			})
			var said []string
			for i := range list[:min(len(list), mostExpiries)] {
				said = append(said, list[i].String())
			}
			if n := len(list) - mostExpiries; n > 0 {
				said = append(said, fmt.Sprintf("and %d more", n))
			}
			return len(list) > 0, strings.Join(said, ", ")
		}
	}
	return []trouble{
		{name: "certificate_expires", service: "ConnectionManager", bad: bad(s.certificateExpiries),
			text: "put a new one into its file, then send SIGHUP"},
		{name: "key_expires", service: "AuthService", bad: bad(s.keyExpiries),
			text: "tokens are checked with it all the same; its issuer should publish a new one"},
	}
}

// writeExpiryMetrics writes, for each key of the configuration, how long it takes until the first of its
// certificates expires.
func (s *Server) writeExpiryMetrics(m metricWriter) {
	first := map[string]time.Time{}
	for _, e := range append(s.certificateExpiries(), s.keyExpiries()...) {
		if at, ok := first[e.of]; !ok || e.end.Before(at) {
			first[e.of] = e.end
		}
	}
	left := map[string]int64{}
	for of, at := range first {
		left[of] = int64(time.Until(at).Seconds())
	}
	byKey(m, "tapecast_expires_in_seconds", "of", left)
}
