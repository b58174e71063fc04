package auth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tapecast/rooms/testwait"
	"tapecast/server/auth/verify"
	"tapecast/server/config"
)

// table is a Redis of a test: it knows GET and SET, and keeps all for ever.
type table struct {
	addr   string
	mu     sync.Mutex
	values map[string]string
	looks  int // that were not Run's
}

func newTable(t *testing.T) *table {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &table{addr: l.Addr().String(), values: map[string]string{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *table) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	number := func() int {
		line, _ := in.ReadString('\n')
		if len(line) < 4 {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		return n
	}
	for {
		var cmd []string
		for range number() {
			text := make([]byte, number()+2)
			if _, err := io.ReadFull(in, text); err != nil {
				return
			}
			cmd = append(cmd, string(text[:len(text)-2]))
		}
		if len(cmd) == 0 {
			return
		}
		io.WriteString(c, r.answer(cmd))
	}
}

func (r *table) answer(cmd []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch cmd[0] {
	case "get":
		if !strings.HasSuffix(cmd[1], ":probe") {
			r.looks++
		}
		if v, ok := r.values[cmd[1]]; ok {
			return fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
		}
		return "$-1\r\n"
	case "set":
		r.values[cmd[1]] = cmd[2]
		return "+OK\r\n"
	}
	return "-ERR unknown command\r\n"
}

func (r *table) looked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

// sharing is an authenticator of a node that shares what the service has said.
func (r *table) sharing(s *service, cfg config.Auth) *Authenticator {
	s.t.Helper()
	cfg.Redis = config.Redis{Address: r.addr, Timeout: time.Second, Secret: "a secret of the gateways, 32 bytes"}
	a := s.authenticator(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); a.RunShared(ctx) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	testwait.Until(s.t, testwait.Patience, "Redis is used", a.store.Usable)
	return a
}

// stored waits until that many answers are.
func stored(t *testing.T, a *Authenticator, n uint64) {
	t.Helper()
	testwait.Until(t, testwait.Patience, "answers are stored", func() bool { return a.Shared().Stored == n })
}

// TestSharedAnswers: what the service has said to one node, others need not ask. Each applies its own rules.
func TestSharedAnswers(t *testing.T) {
	s, r := newService(t), newTable(t)
	s.set(`{"user":{"id":42},"claims":{"role":"desk"}}`, 0)
	path := func(cfg config.Auth) config.Auth { cfg.Verify.Claims = "claims"; return cfg }
	a := r.sharing(s, path(config.Auth{}))
	token := sign(t, jwt.SigningMethodHS256, []byte("a key that no gateway has"),
		jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "jti": "j", "iat": 1000})
	said, err := checked(t, a, token)
	if err != nil || s.calls.Load() != 1 {
		t.Fatalf("%+v, %v, %d calls", said, err, s.calls.Load())
	}
	stored(t, a, 1)

	f := func(cfg config.Auth, keep string, calls int32, want error) {
		t.Helper()
		b := r.sharing(s, path(cfg))
		b.Keep(keep)
		s.calls.Store(0)
		id, err := checked(t, b, token)
		if err != want || s.calls.Load() != calls || b.Shared().Hits != 1 {
			t.Errorf("%v, %d calls, %+v, want %v, %d", err, s.calls.Load(), b.Shared(), want, calls)
		}
		if err == nil && (id.User != "42" || id.ID != "j" || id.Issued != 1000 || id.Expires != said.Expires ||
			id.Claims.Value("role") != "desk" || b.Shared().Stored != 0) {
			t.Errorf("%+v, %+v", id, b.Shared())
		}
		if _, again := b.ParseToken(token); want == nil && again != nil {
			t.Errorf("it is not known after that: %v", again)
		}
	}
	f(config.Auth{}, "role", 0, nil)
	f(config.Auth{UserPattern: "[a-z]+"}, "role", 0, errUserForm)
	f(config.Auth{RequiredClaims: map[string]string{"role": "boss"}}, "role", 0, errWanted)
	f(config.Auth{MaxTokenLife: time.Minute}, "role", 0, errLife)

	other := r.sharing(s, config.Auth{}) // without claims: another question
	if _, err := checked(t, other, token); err != nil || s.calls.Load() != 1 || other.Shared().Misses != 1 {
		t.Errorf("%v, %d calls, %+v", err, s.calls.Load(), other.Shared())
	}
}

// TestSharedAway: whoever any node knows comes in on all of them while the service is down. Others are told
// at once, and what it refuses is not stored.
func TestSharedAway(t *testing.T) {
	s, r := newService(t), newTable(t)
	a, b := r.sharing(s, config.Auth{}), r.sharing(s, config.Auth{})
	if _, err := checked(t, a, "known"); err != nil {
		t.Fatal(err)
	}
	stored(t, a, 1)
	s.set("", http.StatusUnauthorized)
	if _, err := checked(t, a, "bad"); !errors.Is(err, ErrNotThis) {
		t.Error(err)
	}
	s.set("", http.StatusServiceUnavailable)
	for b.Service().Breaker == "closed" {
		checked(t, b, "away")
	}
	calls := s.calls.Load()
	if _, err := checked(t, b, "away"); !errors.Is(err, ErrAway) || !OfService(err) {
		t.Errorf("a stranger: %v", err)
	}
	if id, err := checked(t, b, "known"); err != nil || id.User != "42" {
		t.Errorf("%+v, %v", id, err)
	}
	if n := s.calls.Load() - calls; n != 0 || a.Shared().Stored != 1 || b.Shared().Stored != 0 || b.Shared().Hits != 1 {
		t.Errorf("%d calls, %+v, %+v", n, a.Shared(), b.Shared())
	}
}

// TestSharedWithKeys: a token must pass the keys first, and one that does not is never looked up.
func TestSharedWithKeys(t *testing.T) {
	s, r := newService(t), newTable(t)
	const key = "a key of the issuer that has 32 bytes"
	with := r.sharing(s, config.Auth{Secret: key})
	without := r.sharing(s, config.Auth{})
	claims := jwt.MapClaims{"sub": "7", "exp": time.Now().Add(time.Hour).Unix()}
	good := sign(t, jwt.SigningMethodHS256, []byte(key), claims)
	bad := sign(t, jwt.SigningMethodHS256, []byte("x"), claims)
	if _, err := checked(t, without, bad); err != nil {
		t.Fatal(err)
	}
	stored(t, without, 1)
	looked := r.looked()
	if _, err := checked(t, with, bad); err != errSignature || r.looked() != looked {
		t.Errorf("%v, %d look-ups", err, r.looked()-looked)
	}
	if id, err := checked(t, with, good); err != nil || id.User != "42" || r.looked() != looked+1 {
		t.Errorf("%+v, %v, %d look-ups", id, err, r.looked()-looked)
	}
}

// TestSharedEnd: what another node was told is known here for as long as it is good there.
func TestSharedEnd(t *testing.T) {
	s, r := newService(t), newTable(t)
	a := r.sharing(s, config.Auth{})
	id := Identity{User: "42", Expires: time.Now().Add(time.Hour).Unix()}
	until := time.Now().Add(5 * time.Second)
	f := func(token string, answer verify.Answer, want time.Time, stores int) {
		t.Helper()
		d := digestOf(token)
		a.remember(token, d, id, a.known.generation.Load(), answer)
		e, ok := a.known.entries.GetEntryQuietly(d)
		if !ok || e.Value.until.Before(want) || e.Value.until.After(want.Add(knownFor/2)) {
			t.Errorf("%s: %v, known until %s, want %s", token, ok, e.Value.until, want)
		}
		stored(t, a, uint64(stores))
	}
	f("shared", verify.Answer{User: "42", Until: until}, until, 0)
	f("own", verify.Answer{User: "42"}, time.Now().Add(knownFor), 1)
	f("own", verify.Answer{User: "42"}, time.Now().Add(knownFor), 1) // of another that waited
}
