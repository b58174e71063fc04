package server

import (
	"encoding/json"
	"log/slog"
	"testing"

	"tapecast/server/limits"
)

// notes is a log's lines by message.
type notes struct{ lines []string }

func (n *notes) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(writerFunc(func(p []byte) { n.lines = append(n.lines, string(p)) }), nil))
}

// TestTroubleCounter: what goes up for ten looks degrades its service until it has
// been quiet for ten, and has a line a minute with what came since the last.
func TestTroubleCounter(t *testing.T) {
	var log notes
	var n uint64
	w := newTroubleCheck(log.logger(),
		[]trouble{{name: "shed", service: "A", text: "buy more memory", count: func() uint64 { return n }}})
	looks := func(k int, add uint64) {
		for range k {
			n += add
			w.look()
		}
	}
	is := func(want bool) {
		t.Helper()
		if got := w.of("A"); (len(got) == 1) != want {
			t.Fatalf("at %d: degraded by %q, want %t", n, got, want)
		}
	}
	looks(5, 0)
	is(false)
	if len(log.lines) != 0 {
		t.Errorf("logged while nothing happened: %q", log.lines)
	}
	looks(1, 7) // a burst alone is not trouble
	looks(30, 0)
	is(false)
	looks(troubleAfter, 2)
	is(false)
	looks(1, 2)
	is(true)
	if got := w.of("A")[0]; got != "shed: 29 so far; buy more memory" {
		t.Errorf("the reason is %q", got)
	}
	looks(troubleAfter-1, 0)
	is(true)
	looks(1, 0)
	is(false)
	if len(w.of("B")) != 0 {
		t.Error("another service is degraded")
	}
	looks(120, 1)
	looks(troubleSaid+1, 0)
	var told float64
	for _, line := range log.lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["name"] != "shed" {
			t.Fatalf("logged %s", line)
		}
		told += m["count"].(float64)
	}
	if told != float64(n) || len(log.lines) < 3 || len(log.lines) > 6 {
		t.Errorf("of %d the log has %v in %d lines, in some four minutes", n, told, len(log.lines))
	}
	n = 1 // its service was started again
	looks(1, 0)
	is(false)
}

// TestTroubleCondition: what is wrong now degrades at once, and not for longer.
func TestTroubleCondition(t *testing.T) {
	var log notes
	bad := false
	w := newTroubleCheck(log.logger(),
		[]trouble{{name: "full", service: "A", text: "empty it",
			bad: func() (bool, string) { return bad, "it is full" }}})
	w.look()
	if w.of("A") != nil {
		t.Error("degraded while all is well")
	}
	bad = true
	for range troubleSaid {
		w.look()
	}
	if got := w.of("A"); len(got) != 1 || got[0] != "full: it is full; empty it" {
		t.Errorf("degraded by %q", got)
	}
	if len(log.lines) != 1 {
		t.Errorf("a minute of it has the lines %q", log.lines)
	}
	bad = false
	w.look()
	if w.of("A") != nil {
		t.Error("degraded when it is over")
	}
}

// TestTroubleInHealth: a limit that refuses for long shows in /health, with the
// reason, and the gateway still takes clients.
func TestTroubleInHealth(t *testing.T) {
	s := startServer(t)
	s.get(t, "/readyz", "")
	for range troubleAfter + 2 {
		s.limit.Hit(limits.Pending)
		s.trouble.look()
	}
	code := s.get(t, "/health", `"RateLimiter":{"status":"degraded","isRunning":true,"detail":"limit_pending: `)
	if code != 200 {
		t.Errorf("/health: %d", code)
	}
	s.get(t, "/health", `{"status":"degraded"`)
	s.get(t, "/metrics", `tapecast_service_up{service="RateLimiter"} 0.5`)
}

// writerFunc is a writer that calls itself.
type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }
