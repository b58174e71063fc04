package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/term"
)

// New returns the logger of a process: text on a terminal, JSON elsewhere, unless format is "text"
// or "json". It repeats a message text at most burst times at once and once a second after that,
// and writes no tokens. The level can be changed while it runs. With a Queue as w, logging never
// waits.
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

// textAttr is redactAttr with a shorter time for a terminal.
func textAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
		return a
	}
	return redactAttr(groups, a)
}

func droppedLine(n uint64, text bool, opts *slog.HandlerOptions) []byte {
	var b bytes.Buffer
	log := slog.New(newLineHandler(&b, text, &slog.HandlerOptions{ReplaceAttr: opts.ReplaceAttr}))
	log.Warn(fmt.Sprintf("%d lines were dropped: whatever reads the log is too slow, or is gone", n), "dropped", n)
	return b.Bytes()
}

// QueueOf returns the queue that a logger of New writes to, or nil.
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
	// burst lets the lines of one incident through, such as a rack that went away, and stops a storm.
	burst = 20
	// every is the time after which a repeated text may have its next line.
	every = time.Second
	// texts bounds how many texts are told apart. Texts are constants of the program. Beyond the
	// bound the quiet ones are forgotten.
	texts = 1024
)
