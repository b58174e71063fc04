package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
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

// Redacted is written instead of a secret.
const Redacted = "[redacted]"

// secretKeys are attributes whose value is never written.
var secretKeys = map[string]bool{
	"token": true, "access_token": true, "authorization": true, "secret": true,
	"password": true, "sasl.password": true, "sec-websocket-protocol": true,
}

var (
	// secretField finds credentials by the text before them: a query parameter, a JSON field, a
	// header, the subprotocol bearer.<token>.
	secretField = regexp.MustCompile(`(?i)((?:access_)?token["']?\s*[=:]\s*["']?|\bbearer[\s.,` +
		`]\s*|\bauthorization["']?\s*[=:]\s*["']?(?:bearer\s+)?)[^\s"'&,;]+`)
	// bareToken finds a JWT anywhere: base64 of {" … and two more parts.
	bareToken = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*\.?[A-Za-z0-9_-]*`)
)

func redact(s string) string {
	if !mayHoldToken(s) {
		return s
	}
	s = bareToken.ReplaceAllString(s, Redacted)
	return secretField.ReplaceAllString(s, "${1}"+Redacted)
}

// mayHoldToken reports whether a text may contain a token. Most need no regular expression.
func mayHoldToken(s string) bool {
	if strings.Contains(s, "eyJ") {
		return true
	}
	l := strings.ToLower(s)
	return strings.Contains(l, "token") || strings.Contains(l, "bearer") || strings.Contains(l, "authorization")
}

// redactAttr is slog's ReplaceAttr. It sees every attribute, and the message, right before it is
// written. It also writes durations with their unit.
func redactAttr(_ []string, a slog.Attr) slog.Attr {
	if secretKeys[strings.ToLower(a.Key)] {
		a.Value = slog.StringValue(Redacted)
		return a
	}
	switch a.Value.Kind() {
	case slog.KindDuration: // in JSON it would be nanoseconds without a unit
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindString:
		if s := a.Value.String(); mayHoldToken(s) {
			a.Value = slog.StringValue(redact(s))
		}
	case slog.KindAny:
		var s string
		switch v := a.Value.Any().(type) {
		case nil, *slog.Source:
			return a
		case []byte:
			s = string(v)
		default:
			s = fmt.Sprintf("%+v", v)
		}
		if r := redact(s); r != s {
			a.Value = slog.StringValue(r)
		}
	}
	return a
}
