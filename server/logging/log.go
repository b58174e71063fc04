package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/term"
)

// New makes the logger of a process: text on a terminal, JSON elsewhere,
// unless format says "text" or "json". It repeats no message text more than burst times
// at once and once a second after that, and writes no token. The level can be
// changed while it runs. Through a Queue no line is ever waited for.
func New(w io.Writer, least slog.Level, format string) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(least)
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: redactAttr}
	text := format == "text" || format != "json" && isTerminal(w)
	if text {
		opts.ReplaceAttr = textAttr
	}
	h := newLineHandler(w, text, opts)
	limits := &limits{byText: map[textKey]*bucket{}, root: h}
	if q, ok := w.(*Queue); ok {
		limits.queue = q
		q.setNotice(func(n uint64) []byte { return droppedLine(n, text, opts) })
	}
	return slog.New(&limitHandler{next: h, limits: limits}), level
}

func newLineHandler(w io.Writer, text bool, opts *slog.HandlerOptions) slog.Handler {
	if text {
		return slog.NewTextHandler(w, opts)
	}
	return slog.NewJSONHandler(w, opts)
}

// textAttr is redactAttr with a time that a terminal has room for.
func textAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
		return a
	}
	return redactAttr(groups, a)
}

// droppedLine is the line that says how many were dropped.
func droppedLine(n uint64, text bool, opts *slog.HandlerOptions) []byte {
	var b bytes.Buffer
	log := slog.New(newLineHandler(&b, text, &slog.HandlerOptions{ReplaceAttr: opts.ReplaceAttr}))
	log.Warn(fmt.Sprintf("%d lines were dropped: whatever reads the log is too slow, or is gone", n), "dropped", n)
	return b.Bytes()
}

// QueueOf returns the queue that a logger of New writes to; nil: it has
// none.
func QueueOf(log *slog.Logger) *Queue {
	if h, ok := log.Handler().(*limitHandler); ok {
		return h.limits.queue
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

const (
	// burst lets the lines of one incident through, such as the peers of a
	// rack that went away, and cuts a storm of them.
	burst = 20
	// every is the time in which a text that was repeated earns its next line.
	every = time.Second
	// texts bounds how many texts are told apart. Texts are constants of the
	// program; past the bound the quiet ones are forgotten.
	texts = 1024
)
