package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"tapecast/server/config"
	"tapecast/server/jsontext"
	"tapecast/server/logging"
)

// Gate decides which requests the internal port serves, and counts those that
// it refuses. Any goroutine may use it.
type Gate struct {
	log      *slog.Logger
	security *logging.Security // nil: none
	hosts    map[string]bool   // names in lower case
	write    bool
	token    atomic.Pointer[tokenHash] // nil: none
	refused  [Refusals]atomic.Uint64
	logged   [Refusals]atomic.Pointer[time.Time] // when each was last logged; nil: never
}

// Refusal is why a request was refused.
type Refusal uint8

const (
	ByName   Refusal = iota // the Host is not a name of the port
	ByOrigin                // a page of another origin asked
	Off                     // it writes, and admin.write is off
	NoToken                 // the token is missing or wrong
	Body                    // the body is too long, or there may be none
	Busy                    // too many requests at a time
	Refusals                // how many there are
)

// String returns the reason as logs and figures spell it.
func (r Refusal) String() string {
	return [...]string{"host", "origin", "off", "token", "body", "busy"}[r]
}

func NewGate(cfg *config.Admin, security *logging.Security, log *slog.Logger) (*Gate, error) {
	g := &Gate{log: log, security: security, hosts: map[string]bool{"localhost": true}, write: cfg.Write}
	for _, name := range cfg.Hosts {
		g.hosts[strings.ToLower(name)] = true
	}
	switch {
	case cfg.Direct && !cfg.Write:
		return nil, errors.New("admin.direct is set without admin.write: set admin.write: true and admin.token_file")
	case cfg.Write && cfg.TokenFile == "":
		return nil, errors.New("admin.write is set without a token: set admin.token_file")
	}
	return g, g.Load(cfg)
}

// Load reads the token from the file. After an error the old one stays.
func (g *Gate) Load(cfg *config.Admin) error {
	if cfg.TokenFile == "" {
		return nil
	}
	text, err := config.ReadAdminToken(cfg.TokenFile)
	if err != nil {
		return fmt.Errorf("cannot take the token of admin.token_file: %w", err)
	}
	g.token.Store(newToken(text))
	return nil
}

// guard serves a request that names the port by one of its own names and does not come from
// a page of another origin. Orchestrators may ask /livez and /readyz by any name.
func (g *Gate) guard(next http.Handler) http.Handler {
	// A page in an operator's browser must not publish to Kafka.
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.Refuse(w, r, ByOrigin, http.StatusForbidden, "a page of another origin may not ask for this")
	}))
	inner := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := r.URL.Path == "/livez" || r.URL.Path == "/readyz"
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case !probe && !g.knows(r.Host):
			g.Refuse(w, r, ByName, http.StatusMisdirectedRequest,
				"the internal port is not called %s: ask it by its address, as localhost, or by a name in admin.hosts",
				jsontext.Quoted(r.Host))
		case read && r.ContentLength != 0:
			g.Refuse(w, r, Body, http.StatusBadRequest, "%s takes no body", r.Method)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// knows reports whether a Host header names the internal port: by a literal address,
// as localhost, or by a name of admin.hosts. A page cannot make a browser send any of
// these to a machine that is not the page's own.
func (g *Gate) knows(host string) bool {
	name := host
	if v6, rest, ok := strings.Cut(strings.TrimPrefix(host, "["), "]"); ok && host[0] == '[' {
		addr, err := netip.ParseAddr(v6)
		return err == nil && addr.Is6() && (rest == "" || rest[0] == ':' && isPort(rest[1:]))
	}
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		if name = host[:at]; !isPort(host[at+1:]) {
			return false
		}
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Is4()
	}
	return g.hosts[strings.ToLower(strings.TrimSuffix(name, "."))]
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// Writes serves requests that write, if admin.write is on and they have the token.
func (g *Gate) Writes(next http.HandlerFunc) http.HandlerFunc {
	next = g.wantsToken(next)
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.write {
			g.Refuse(w, r, Off, http.StatusForbidden,
				"%s is off: set admin.write: true, and admin.token_file", r.URL.Path)
			return
		}
		next(w, r)
	}
}

// wantsToken serves requests that have the token. If no token is configured, it serves all.
func (g *Gate) wantsToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t := g.token.Load(); t != nil && !t.isIn(r.Header["Authorization"]) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			g.Refuse(w, r, NoToken, http.StatusUnauthorized,
				"%s needs the token of admin.token_file: send Authorization: Bearer …", r.URL.Path)
			return
		}
		next(w, r)
	}
}

// Refuse answers with an error, counts it, and logs it once a minute. It leaves the body unread.
func (g *Gate) Refuse(w http.ResponseWriter, r *http.Request, why Refusal, code int, format string, args ...any) {
	g.refused[why].Add(1)
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		g.security.Note("internal port: refused", from.Addr(), slog.Any("remote", from),
			slog.String("why", why.String()),
			slog.String("method", r.Method), slog.String("path", jsontext.Quoted(r.URL.Path)),
			slog.String("host", jsontext.Quoted(r.Host)))
	}
	now := time.Now() // with its monotonic reading: a clock that is set back must not silence the log
	if last := g.logged[why].Load(); (last == nil || now.Sub(*last) >= time.Minute) &&
		g.logged[why].CompareAndSwap(last, &now) {
		g.log.Warn("internal port: refused", "reason", why.String(), "method", r.Method, "path",
			jsontext.Quoted(r.URL.Path),
			"host", jsontext.Quoted(r.Host), "remote", r.RemoteAddr, "refused", g.refused[why].Load())
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	Refuse(w, code, format, args...)
}

// Refused returns how many requests were refused for that reason.
func (g *Gate) Refused(why Refusal) uint64 { return g.refused[why].Load() }

// HasToken reports whether writes need a token.
func (g *Gate) HasToken() bool { return g.token.Load() != nil }

// tokenHash is the token's hash. Comparing hashes takes the same time whatever was sent.
type tokenHash [sha256.Size]byte

func newToken(text string) *tokenHash {
	t := tokenHash(sha256.Sum256([]byte(text)))
	return &t
}

// isIn reports whether a request has exactly one Authorization header, and it has the token.
func (t *tokenHash) isIn(headers []string) bool {
	if len(headers) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	got := tokenHash(sha256.Sum256([]byte(strings.TrimSpace(token))))
	return subtle.ConstantTimeCompare(got[:], t[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}
