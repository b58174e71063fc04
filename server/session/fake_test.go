package session

import (
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/auth"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// hs256Secret is the key of the tests' tokens.
const hs256Secret = "0123456789abcdef0123456789abcdef"

// plainConfig is the built-in configuration with a key.
func plainConfig() *config.Config {
	cfg := config.Default()
	cfg.Auth.Secret = hs256Secret
	return cfg
}

func noLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newTestHandler makes a handler that accepts connections.
func newTestHandler(t testing.TB, change ...func(*config.Config)) *Handler {
	t.Helper()
	cfg := plainConfig()
	for _, f := range change {
		f(cfg)
	}
	catalog, err := cfg.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	auth, err := auth.New(&cfg.Auth, noLog())
	if err != nil {
		t.Fatal(err)
	}
	h := New(cfg, catalog, auth, limits.New(cfg), nil, noLog())
	h.accepting.Store(true)
	return h
}

func tokenOf(t testing.TB, user string, ttl time.Duration) string {
	t.Helper()
	token, err := auth.MintToken(plainConfig(), user, ttl, false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// fakeConn is a connection without a socket. What it is asked to join it joins
// at once, or with hold when settle is called.
type fakeConn struct {
	h       *Handler
	id      uint64
	remote  netip.AddrPort
	session any
	hold    bool
	full    bool // too many wait to authenticate
	cert    *x509.Certificate
	// onRemote is called when somebody asks for the address. Nil: nothing is.
	onRemote func()
	until    time.Time // when the certificate ends; zero: by itself
	refuse   map[string]error

	mu        sync.Mutex
	out       []string
	code      int // 0: open
	reason    string
	timer     *time.Timer
	due       time.Time // as SetTimer was told
	authed    bool
	measured  int // calls of Measure
	positions bool
	in        []string
	waiting   []func()
	under     []string                 // rooms that there are for wildcards
	wildcards map[string][]loop.Joined // wildcards that were joined
	asked     []loop.RoomRef           // wildcards that were asked for
	keys      []string                 // of the memberships that it has
	every     time.Duration
}

// joinWildcard joins what is in under and matches.
func (c *fakeConn) joinWildcard(r loop.RoomRef) loop.Joined {
	out := c.joined(r.Name, c.refuse[r.Name])
	out.Wildcard, out.Rooms = true, nil
	c.asked = append(c.asked, r)
	if out.Err != nil {
		return out
	}
	for _, name := range c.under {
		if strings.HasPrefix(name, strings.TrimSuffix(r.Name, "*")) {
			out.Rooms = append(out.Rooms, c.joined(name, nil))
		}
	}
	if out.Err = r.Reserve(len(out.Rooms)); out.Err != nil {
		out.Rooms = nil
		return out
	}
	for i := range out.Rooms {
		j := &out.Rooms[i]
		*j = c.joined(j.Name, c.refuse[j.Name])
		_, j.Since = r.SinceByRoom[j.Name]
	}
	if c.wildcards == nil {
		c.wildcards = map[string][]loop.Joined{}
	}
	c.wildcards[r.Name] = slices.DeleteFunc(slices.Clone(out.Rooms), func(j loop.Joined) bool { return j.Err != nil })
	for i := range c.wildcards[r.Name] { // of the join alone
		c.wildcards[r.Name][i].Since, c.wildcards[r.Name][i].TooOld = false, nil
	}
	c.in = append(c.in, r.Name)
	return out
}

func newFakeConn(h *Handler) *fakeConn {
	return &fakeConn{h: h, id: 17, remote: netip.MustParseAddrPort("192.0.2.1:5000")}
}

func (c *fakeConn) ID() uint64 { return c.id }
func (c *fakeConn) Remote() netip.AddrPort {
	if c.onRemote != nil {
		c.onRemote()
	}
	return c.remote
}
func (c *fakeConn) Session() any     { return c.session }
func (c *fakeConn) SetSession(s any) { c.session = s }
func (c *fakeConn) Pend() bool       { return !c.full }

func (c *fakeConn) Certificate() (*x509.Certificate, time.Time) {
	if c.cert != nil && c.until.IsZero() {
		return c.cert, c.cert.NotAfter
	}
	return c.cert, c.until
}

func (c *fakeConn) SetAuthenticated(pos bool) { c.authed, c.positions = true, pos }
func (c *fakeConn) Measure()                  { c.measured++ }
func (c *fakeConn) SendText(p []byte)         { c.send(string(p)) }
func (c *fakeConn) Close(code int, why string) {
	c.mu.Lock()
	c.code, c.reason = code, why
	c.mu.Unlock()
}
func (c *fakeConn) closed() (code int) { c.mu.Lock(); defer c.mu.Unlock(); return c.code }
func (c *fakeConn) List(r func([]loop.Joined) []byte) {
	var list []loop.Joined
	for _, name := range c.in {
		list = append(list, c.joined(name, nil))
	}
	c.send(string(r(list)))
}

func (c *fakeConn) send(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != "" && c.code == 0 {
		c.out = append(c.out, s)
	}
}

func (c *fakeConn) SetTimeout(d time.Duration) { c.SetTimer(time.Now().Add(d)) }

func (c *fakeConn) SetTimer(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if c.due = t; !t.IsZero() {
		c.timer = time.AfterFunc(time.Until(t), func() { c.h.timer(c) })
	}
}

func (c *fakeConn) joined(name string, err error) loop.Joined {
	p, _, ok := c.h.catalog.Resolve(name)
	if !ok {
		p, _ = c.h.catalog.Under(strings.TrimSuffix(name, "*"))
	}
	var late error
	if errors.As(err, new(*rooms.TooOldError)) { // it is joined all the same
		late, err = err, nil
	}
	return loop.Joined{TooOld: late, Name: name, Class: p.Class.Name, Err: err, Chain: !p.Class.Conflate,
		Positions: rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Partition: 0, Offset: 7}}}}
}

func (c *fakeConn) Join(refs []loop.RoomRef, reply func([]loop.Joined) []byte) {
	do := func() {
		var list []loop.Joined
		for _, r := range refs {
			if r.Wildcard {
				list = append(list, c.joinWildcard(r))
				continue
			}
			err, already := c.refuse[r.Name], slices.Contains(c.in, r.Name)
			if already {
				j := c.joined(r.Name, nil)
				j.Already, j.Keys, j.Every = true, c.keys, c.every
				list = append(list, j)
				continue
			}
			if err == nil {
				c.in = append(c.in, r.Name)
			}
			j := c.joined(r.Name, err)
			j.Since = r.Since != nil || r.SinceTime != 0
			list = append(list, j)
		}
		c.send(string(reply(list)))
	}
	if c.hold {
		c.waiting = append(c.waiting, do)
		return
	}
	do()
}

func (c *fakeConn) Leave(names []string, reply func([]loop.Joined) []byte) {
	var list []loop.Joined
	for _, name := range names {
		i := slices.Index(c.in, name)
		if i < 0 {
			list = append(list, loop.Joined{Name: name, Err: loop.ErrNotThere})
			continue
		}
		c.in = slices.Delete(c.in, i, i+1)
		j := c.joined(name, nil)
		if under, ok := c.wildcards[name]; ok {
			j.Wildcard, j.Rooms = true, under
		}
		list = append(list, j)
	}
	c.send(string(reply(list)))
}

func (c *fakeConn) settle() {
	for _, do := range c.waiting {
		do()
	}
	c.waiting = nil
}

// take returns what was sent since the last time, one message a line.
func (c *fakeConn) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.out, "\n")
	c.out = nil
	return s
}

// says sends one message and returns what came back.
func (c *fakeConn) says(text string) string {
	if c.h.admitMessage(c) {
		c.h.message(c, wire.OpText, []byte(text))
	}
	return c.take()
}

// Dial makes a connection, with a token in the handshake unless it is "".
func dial(t testing.TB, h *Handler, token, query string) *fakeConn {
	t.Helper()
	c := newFakeConn(h)
	if v := h.open(c, &upgrade.Request{Token: token, Query: query}); v.Status != 0 {
		t.Fatalf("open refused: %+v", v)
	}
	return c
}

// Login makes a connection that is authenticated and in its rooms.
func login(t testing.TB, h *Handler, user string) *fakeConn {
	t.Helper()
	c := dial(t, h, tokenOf(t, user, time.Hour), "")
	if s := sessionOf(c); s.phase != phOpen || c.closed() != 0 {
		t.Fatalf("not let in: phase %d, close %d, got %s", s.phase, c.closed(), c.take())
	}
	c.take()
	return c
}
