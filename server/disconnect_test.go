package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tapecast/ingest"
	"tapecast/rooms/testwait"
	"tapecast/server/auth"
	"tapecast/server/config"
)

func withRevocations(cfg *config.Config) { cfg.Auth.Revocations = "revoked" }

// member connects a user.
func (s *Server) member(t *testing.T, user string) *wsClient {
	t.Helper()
	c := connect(t, s, "?token="+s.tokenOf(t, user))
	c.until("auto_subscribed")
	return c
}

func (s *Server) tokenOf(t *testing.T, user string) string {
	t.Helper()
	token, err := auth.MintToken(s.cfg, user, time.Hour, false)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// turnedAway reports how a user's handshake ends.
func (s *Server) turnedAway(t *testing.T, user string) (code int) {
	t.Helper()
	c := connect(t, s, "?token="+s.tokenOf(t, user))
	for {
		m, closed := c.next()
		if closed != 0 || strings.Contains(m, "auto_subscribed") {
			return closed
		}
	}
}

// TestDisconnect: POST /disconnect closes connections, and revokes if it is told to.
func TestDisconnect(t *testing.T) {
	s := startServer(t, withRevocations)
	ask := func(body string, code int) disconnected { t.Helper(); return s.disconnects(t, body, code) }
	ends := func(c *wsClient, code int, why string) {
		t.Helper()
		if got, closed := c.end(); closed != code || got != why {
			t.Errorf("closed with %d %q, want %d %q", closed, got, code, why)
		}
	}
	one, two, other := s.member(t, "42"), s.member(t, "42"), s.member(t, "43")
	if got := ask(`{"user":"42"}`, 200); got.Connections != 2 || got.Topic != "" || got.Offset != nil {
		t.Errorf("%+v", got)
	}
	ends(one, 4003, closedByOperator)
	ends(two, 4003, closedByOperator)
	if got := ask(`{"user":"nobody"}`, 200); got.Connections != 0 {
		t.Errorf("%+v", got)
	}

	one = s.member(t, "42") // it may come again
	got := ask(`{"user":"42","revoke":true,"reason":"a lost phone"}`, 200)
	if got.Connections != 1 || got.Topic != "revoked" || got.Partition == nil || got.Offset == nil {
		t.Errorf("%+v", got)
	}
	if _, code := one.end(); code != 4003 {
		t.Errorf("closed with %d", code)
	}
	eventually(t, "the record is read", func() bool { return s.turnedAway(t, "42") == 4003 })
	if list := s.handler.Revoked().Stats(); list.Entries != 1 || list.Closed < 3 {
		t.Errorf("%+v", list)
	}
	produceTo(t, s, "user:42", "")
	eventually(t, "it is lifted", func() bool { return s.turnedAway(t, "42") == 0 })

	one = s.member(t, "42")
	if got := ask(fmt.Sprintf(`{"all":true,"before":%d}`, time.Now().Add(2*time.Second).UnixMilli()), 200); got.
		Connections < 2 {
		t.Errorf("%+v", got)
	}
	ends(one, 4201, closedByOperator)
	ends(other, 4201, closedByOperator)

	// A record that comes by itself closes connections, too.
	one = s.member(t, "42")
	produceTo(t, s, "user:42", "{}")
	ends(one, 4003, "access revoked")
	badDisconnects(t, s)
}

// disconnected is an answer to /disconnect.
type disconnected struct {
	Connections       int
	Topic             string
	Partition, Offset *int64
	Error             string
}

// disconnects asks for /disconnect, and demands a status.
func (s *Server) disconnects(t *testing.T, body string, code int) (out disconnected) {
	t.Helper()
	got, _, answer := s.ask(t, "POST", "/disconnect", body)
	if err := json.Unmarshal([]byte(answer), &out); err != nil || got != code {
		t.Errorf("%s: %d %s, want %d", body, got, answer, code)
	}
	return out
}

// badDisconnects: requests that name nobody, or not clearly, are refused.
func badDisconnects(t *testing.T, s *Server) {
	t.Helper()
	for body, words := range map[string]string{
		``:                              "cannot read the body",
		`[]`:                            "it must be an object",
		`{}`:                            "it must name one of user, jti and all",
		`{"user":"1","jti":"a"}`:        "it must name one of user, jti and all",
		`{"user":""}`:                   "it must name one of user, jti and all",
		`{"all":false}`:                 "it must name one of user, jti and all",
		`{"user":"1","user":"2"}`:       "stands there twice",
		`{"User":"1"}`:                  "unknown field",
		`{"user":"1"}{}`:                "it continues after the object",
		`{"all":true}`:                  "before is missing",
		`{"user":"1","before":1700000}`: "before is not a whole number of milliseconds",
	} {
		if got := s.disconnects(t, body, 400); !strings.Contains(got.Error, words) {
			t.Errorf("%s: %s", body, got.Error)
		}
	}
	long := `{"user":"` + strings.Repeat("x", maxDisconnect) + `"}`
	if got := s.disconnects(t, long, 413); !strings.Contains(got.Error, "is longer") {
		t.Error(got.Error)
	}
}

// produceTo produces a record of a revocation; "": a tombstone.
func produceTo(t *testing.T, s *Server, key, value string) {
	t.Helper()
	p, err := ingest.NewPublisher(s.brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	v := []byte(value)
	if value == "" {
		v = nil
	}
	if _, _, err := p.Publish(ctx, "revoked", key, v, nil); err != nil {
		t.Fatal(err)
	}
}

// TestDisconnectWithoutTopic: nothing can be revoked then, and nothing is closed in its place.
func TestDisconnectWithoutTopic(t *testing.T) {
	s := startServer(t)
	c := s.member(t, "42")
	if code, _, body := s.ask(t, "POST", "/disconnect", `{"user":"42","revoke":true}`); code != 409 ||
		!strings.Contains(body, "set auth.revocations") {
		t.Errorf("%d %s", code, body)
	}
	s.ask(t, "POST", "/disconnect", `{"user":"42"}`)
	if _, code := c.end(); code != 4003 {
		t.Errorf("closed with %d", code)
	}
}

// TestRevocationsHealth: a node whose topic of revocations was not read is not ready, and says why. A
// broker that goes later, and bad records, degrade it.
func TestRevocationsHealth(t *testing.T) {
	s := newServer(t, withRevocations, func(cfg *config.Config) {
		cfg.Kafka.Brokers, cfg.Ingest.Routes = []string{"127.0.0.1:1"}, nil
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	const why = "no client is let in, since auth.revocations was not read yet: topic \\\"revoked\\\" cannot be read"
	eventually(t, "the reason", func() bool {
		code, _, body := s.ask(t, "GET", "/health", "")
		return code == 503 && strings.Contains(body, why) && strings.Contains(body, "127.0.0.1:1")
	})
	if code, _, _ := s.ask(t, "GET", "/readyz", ""); code != 503 {
		t.Errorf("readyz says %d", code)
	}
	if code := s.turnedAway(t, "42"); code != 1013 {
		t.Errorf("closed with %d", code)
	}

	s = startServer(t, withRevocations)
	healthy := func(words string) func() bool {
		return func() bool {
			code, _, body := s.ask(t, "GET", "/health", "")
			return code == 200 && strings.Contains(body, words)
		}
	}
	eventually(t, "healthy", healthy(`"RevocationList":{"status":"healthy"`))
	produceTo(t, s, "users:42", "{}")
	eventually(t, "degraded", healthy(`1 records of auth.revocations are not understood, such as key \"users:42\"`))
	produceTo(t, s, "users:42", "")
	eventually(t, "healthy again", healthy(`"RevocationList":{"status":"healthy"`))
	s.embedded.Stop()
	eventually(t, "stale", healthy("may not be known: topic"))
	if code, _, _ := s.ask(t, "GET", "/readyz", ""); code != 200 {
		t.Errorf("readyz says %d", code)
	}
	if _, _, body := s.ask(t, "GET", "/metrics", ""); !strings.Contains(body, "\ntapecast_revocations_bad_total 1\n") {
		t.Error("bad records are not counted")
	}
}
