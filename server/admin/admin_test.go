package admin

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAdminConnectionsAllKept: where all are kept, the new one goes.
func TestAdminConnectionsAllKept(t *testing.T) {
	a := &conns{most: 1}
	near, far := net.Pipe()
	defer far.Close()
	c := a.admit(near)
	release := KeepConn(withConn(t.Context(), c))
	if a.admit(near) != nil {
		t.Error("one too many")
	}
	release()
	if d := a.admit(near); d == nil || a.count() != 1 || a.dropped.Load() != 2 {
		t.Errorf("%v, %d open, %d dropped", d, a.count(), a.dropped.Load())
	}
	if c.Close(); a.count() != 1 {
		t.Error("a connection that was dropped no longer counts")
	}
}

// TestAdminTurns: what costs the loops something comes one at a time, with a rest, and
// a request that waits for too long is told to come again.
func TestAdminTurns(t *testing.T) {
	gate := &Gate{log: slog.New(slog.DiscardHandler)}
	turn := NewTurns(gate, 1, 10)
	turn.wait = 20 * time.Millisecond
	began, end := make(chan bool), make(chan bool)
	h := turn.Guard(func(http.ResponseWriter, *http.Request) { began <- true; <-end })
	go h(httptest.NewRecorder(), httptest.NewRequest("GET", "/connections", nil))
	<-began
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest("GET", "/connections", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || gate.Refused(Busy) != 1 {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	turn.wait = time.Hour
	h(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "GET", "/connections", nil)) // does not wait
	free := time.Now()
	end <- true
	go h(httptest.NewRecorder(), httptest.NewRequest("GET", "/connections", nil))
	<-began // the one before took 20 ms or more
	if rest := time.Since(free); rest < 150*time.Millisecond {
		t.Errorf("a rest of %v", rest)
	}
	end <- true
}

// TestAdminDeadlines: nothing that a peer sends by halves stays.
func TestAdminDeadlines(t *testing.T) {
	slow := newHTTP(nil)
	if max(slow.ReadTimeout, slow.ReadHeaderTimeout) > 10*time.Second || min(slow.IdleTimeout, slow.WriteTimeout) == 0 {
		t.Errorf("deadlines: %+v", slow.ReadTimeout)
	}
}

// TestAdminRefusalsAreLoggedOnce: a client that guesses tokens does not write the log.
func TestAdminRefusalsAreLoggedOnce(t *testing.T) {
	var b bytes.Buffer
	gate := &Gate{log: slog.New(slog.NewTextHandler(&b, nil)), write: true}
	gate.token.Store(newToken("a-token-of-tests"))
	h := gate.guard(gate.Writes(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
	ask := func(method, host string, code int) {
		t.Helper()
		r, w := httptest.NewRequest(method, "http://"+host+"/publish", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer wrong-wrong")
		if h.ServeHTTP(w, r); w.Code != code {
			t.Errorf("%s of %s: %d", method, host, w.Code)
		}
	}
	for range 3 {
		ask("POST", "127.0.0.1", 401)
	}
	ask("GET", "evil.example", 421)
	if got := b.String(); strings.Count(got, "reason=token") != 1 || strings.Count(got, "reason=host") != 1 ||
		strings.Contains(got, "wrong-wrong") {
		t.Errorf("logs %s", got)
	}
}
