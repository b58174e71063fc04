package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

func TestLogLimitsEachText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // a summary is written by a timer's goroutine
		var buf bytes.Buffer
		log, _ := New(logFunc(func(p []byte) { mu.Lock(); buf.Write(p); mu.Unlock() }), slog.LevelInfo, "json")
		lines := func() (out []map[string]any) {
			mu.Lock()
			defer mu.Unlock()
			for _, l := range strings.Split(strings.TrimSpace(buf.String()), "\n") {
				m := map[string]any{}
				if l != "" && json.Unmarshal([]byte(l), &m) == nil {
					out = append(out, m)
				}
			}
			buf.Reset()
			return out
		}
		// Derived loggers share the limit; another text or level has its own.
		for i := range 50 {
			log.With("conn", i).Warn("closed", "i", i)
		}
		log.Info("closed")
		log.Warn("other")
		if got := lines(); len(got) != burst+2 {
			t.Fatalf("%d lines, want %d", len(got), burst+2)
		}
		// The next that passes says how many did not.
		testwait.Pass(every)
		log.Warn("closed")
		log.Warn("closed")
		got := lines()
		if len(got) != 1 || got[0]["suppressed"] != 30.0 {
			t.Fatalf("after a second: %v", got)
		}
		// Where none follows, a line of its own does.
		testwait.Pass(2 * every)
		if got = lines(); len(got) != 1 || got[0]["suppressed"] != 1.0 || got[0]["msg"] != "closed" ||
			got[0]["level"] != "WARN" {
			t.Fatalf("the summary: %v", got)
		}
		// And when all is told, nothing more.
		testwait.Pass(time.Hour)
		if got = lines(); len(got) != 0 {
			t.Fatalf("an hour later: %v", got)
		}
		for range 100 {
			log.Warn("closed")
		}
		if got = lines(); len(got) != burst {
			t.Fatalf("a rested text gets %d lines, want %d", len(got), burst)
		}
	})
}

func TestLogForgetsTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limits{byText: map[textKey]*bucket{}, root: slog.DiscardHandler}
		for i := range 3 * texts {
			for range 1 + i%2*30 {
				l.take(textKey{slog.LevelInfo, fmt.Sprint(i)})
			}
		}
		if n := len(l.byText); n > texts {
			t.Fatalf("%d texts are remembered, want at most %d", n, texts)
		}
		testwait.Pass(time.Hour)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forgetLocked(time.Now())
		if n := len(l.byText); n != 0 {
			t.Fatalf("%d quiet texts are remembered", n)
		}
	})
}

func TestLogConcurrently(t *testing.T) {
	var mu sync.Mutex
	n := 0
	log, level := New(logFunc(func(p []byte) { mu.Lock(); n++; mu.Unlock() }), slog.LevelWarn, "json")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			l := log.With("i", i).WithGroup("g")
			for range 100 {
				l.Info("unseen")
				l.Warn("seen")
			}
		})
	}
	wg.Wait()
	if n < burst || n > burst+5 {
		t.Errorf("%d lines, want about %d", n, burst)
	}
	level.Set(slog.LevelDebug)
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("the level cannot be changed")
	}
}

type logFunc func(p []byte)

func (f logFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

const jwtLike = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl"

func TestLogNeverWritesTokens(t *testing.T) {
	opaque := "s3cr3t-opaque-token-value"
	f := func(write func(l *slog.Logger)) {
		t.Helper()
		for _, format := range []string{"json", "text"} {
			var buf bytes.Buffer
			log, _ := New(&buf, slog.LevelInfo, format)
			write(log)
			s := buf.String()
			if strings.Contains(s, "s3cr3t") || strings.Contains(s, "eyJ") || !strings.Contains(s, Redacted) {
				t.Errorf("written: %s", s)
			}
		}
	}
	f(func(l *slog.Logger) { l.Info("x", "token", opaque) })
	f(func(l *slog.Logger) { l.Info("x", "Authorization", "Bearer "+opaque) })
	f(func(l *slog.Logger) { l.Info("x", "token", 7, "access_token", []byte(opaque)) })
	f(func(l *slog.Logger) { l.With("token", opaque).Info("x") })
	f(func(l *slog.Logger) { l.WithGroup("g").Info("x", slog.Group("h", "token", opaque)) })
	f(func(l *slog.Logger) { l.Info("x", "url", "/ws?a=1&token="+opaque+"&b=2") })
	f(func(l *slog.Logger) { l.Info("x", "url", "/ws?access_token="+opaque) })
	f(func(l *slog.Logger) { l.Info("x", "header", "bearer "+opaque) })
	f(func(l *slog.Logger) { l.Info("x", "protocols", "tapecast.v1, bearer."+opaque) })
	f(func(l *slog.Logger) { l.Info("x", "protocols", "bearer, "+opaque) })
	f(func(l *slog.Logger) {
		l.Info("x", "body", `{"method":"authenticate","params":{"token": "`+opaque+`"}}`)
	})
	f(func(l *slog.Logger) { l.Info("x", "err", errors.New("bad request: Authorization: Bearer "+opaque)) })
	f(func(l *slog.Logger) { l.Info("x", "frame", []byte("token="+opaque)) })
	f(func(l *slog.Logger) { l.Info("x", "any", struct{ A, B string }{"token=" + opaque, jwtLike}) })
	f(func(l *slog.Logger) { l.Info("x", "list", []string{"bearer." + opaque}) })
	f(func(l *slog.Logger) { l.Info("cannot take " + jwtLike) })
	f(func(l *slog.Logger) { l.Info("x", "got", "'"+jwtLike+"'") })
	f(func(l *slog.Logger) { l.Info("x", "cut", "eyJhbGciOiJIUzI1NiJ9.eyJzd") })
}

func TestLogLeavesTheRestAlone(t *testing.T) {
	var buf bytes.Buffer
	log, _ := New(&buf, slog.LevelInfo, "json")
	log.Info("token expired", "user", "42", "n", 5, "d", time.Second, "nil", nil, "err", errors.New("token is expired"),
		"list", []string{"a", "b"})
	var m map[string]any
	if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m["msg"] != "token expired" || m["user"] != "42" || m["n"] != 5.0 || m["err"] != "token is expired" ||
		m["d"] != "1s" || m["list"].([]any)[1] != "b" {
		t.Errorf("written: %s", buf.String())
	}
}

func TestLogFormat(t *testing.T) {
	f := func(format string, json bool) {
		t.Helper()
		var buf bytes.Buffer
		log, _ := New(&buf, slog.LevelInfo, format)
		log.Info("hello")
		log.Debug("unseen")
		if got := strings.HasPrefix(buf.String(), "{"); got != json || strings.Contains(buf.String(), "unseen") {
			t.Errorf("%s: %s", format, buf.String())
		}
	}
	f("auto", true)
	f("json", true)
	f("text", false)
	// A file is not a terminal either, though it has a descriptor.
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) {
		t.Error("a file counts as a terminal")
	}
}
