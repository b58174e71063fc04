package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// limitHandler lets at most logBurst records of one text through at once, then
// one in logEvery. The next that passes says in "suppressed" how many did not;
// where none follows, a record of its own does.
type limitHandler struct {
	next   slog.Handler
	limits *logLimits
}

// logLimits is shared by a handler and all those derived from it.
type logLimits struct {
	mu     sync.Mutex
	byText map[logKey]*logBucket
	root   slog.Handler // without attributes: for summaries
	queue  *LogQueue    // that root writes to; nil: it writes at once
}

type logKey struct {
	level slog.Level
	text  string
}

// logBucket is a token bucket for one text.
type logBucket struct {
	tokens     float64
	last       time.Time // when tokens was right
	suppressed int
	armed      bool // a summary is due
}

// Enabled is that of the handler below.
func (h *limitHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l)
}

// WithAttrs shares the limits with h.
func (h *limitHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitHandler{next: h.next.WithAttrs(attrs), limits: h.limits}
}

// WithGroup shares the limits with h.
func (h *limitHandler) WithGroup(name string) slog.Handler {
	return &limitHandler{next: h.next.WithGroup(name), limits: h.limits}
}

// Handle passes a record on, or counts it.
func (h *limitHandler) Handle(ctx context.Context, r slog.Record) error {
	suppressed, ok := h.limits.take(logKey{r.Level, r.Message})
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.next.Handle(ctx, r)
}

// take asks for a line; suppressed is how many were refused since the last.
func (l *logLimits) take(k logKey) (suppressed int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byText[k]
	if b == nil {
		l.forgetLocked(now)
		b = &logBucket{tokens: logBurst, last: now}
		l.byText[k] = b
	}
	b.refill(now)
	if b.tokens < 1 {
		b.suppressed++
		if !b.armed {
			b.armed = true
			time.AfterFunc(2*logEvery, func() { l.summarize(k, b) })
		}
		return 0, false
	}
	b.tokens--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

func (b *logBucket) refill(now time.Time) {
	b.tokens = min(logBurst, b.tokens+now.Sub(b.last).Seconds()/logEvery.Seconds())
	b.last = now
}

// summarize reports what was refused and that no later record reported.
func (l *logLimits) summarize(k logKey, b *logBucket) {
	l.mu.Lock()
	b.armed = false
	n := b.suppressed
	b.suppressed = 0
	l.mu.Unlock()
	if n > 0 {
		r := slog.NewRecord(time.Now(), k.level, k.text, 0)
		r.AddAttrs(slog.Int("suppressed", n))
		l.root.Handle(context.Background(), r) //nolint:errcheck // nobody to tell
	}
}

// forgetLocked makes room: first by the texts that are quiet and owe nothing, then by
// any.
func (l *logLimits) forgetLocked(now time.Time) {
	if len(l.byText) < logTexts {
		return
	}
	for k, b := range l.byText {
		if b.refill(now); b.tokens == logBurst && !b.armed {
			delete(l.byText, k)
		}
	}
	for k := range l.byText {
		if len(l.byText) < logTexts {
			return
		}
		delete(l.byText, k) // its summary, if one is due, still comes
	}
}
