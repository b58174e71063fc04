package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// limitHandler lets at most burst records of one text through at once, then one in every. The next
// one says in "suppressed" how many were left out. If none follows, a record of its own does.
type limitHandler struct {
	next   slog.Handler
	limits *limits
}

// limits is shared by a handler and all those derived from it.
type limits struct {
	mu     sync.Mutex
	byText map[textKey]*bucket
	root   slog.Handler // without attributes: for summaries
	queue  *Queue       // root's queue; nil: root writes at once
}

type textKey struct {
	level slog.Level
	text  string
}

type bucket struct {
	tokens     float64
	last       time.Time // when tokens was computed
	suppressed int
	armed      bool // a summary is due
}

// Enabled asks the handler below.
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
	suppressed, ok := h.limits.take(textKey{r.Level, r.Message})
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.next.Handle(ctx, r)
}

// take asks for a line. suppressed is how many were refused since the last one.
func (l *limits) take(k textKey) (suppressed int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byText[k]
	if b == nil {
		l.forgetLocked(now)
		b = &bucket{tokens: burst, last: now}
		l.byText[k] = b
	}
	b.refill(now)
	if b.tokens < 1 {
		b.suppressed++
		if !b.armed {
			b.armed = true
			time.AfterFunc(2*every, func() { l.summarize(k, b) })
		}
		return 0, false
	}
	b.tokens--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

func (b *bucket) refill(now time.Time) {
	b.tokens = min(burst, b.tokens+now.Sub(b.last).Seconds()/every.Seconds())
	b.last = now
}

// summarize reports refused records that no later record has reported.
func (l *limits) summarize(k textKey, b *bucket) {
	l.mu.Lock()
	b.armed = false
	n := b.suppressed
	b.suppressed = 0
	l.mu.Unlock()
	if n > 0 {
		r := slog.NewRecord(time.Now(), k.level, k.text, 0)
		r.AddAttrs(slog.Int("suppressed", n))
		l.root.Handle(context.Background(), r) //nolint:errcheck // the error could not be logged
	}
}

// forgetLocked frees memory: first of texts that are quiet and reported, then of any.
func (l *limits) forgetLocked(now time.Time) {
	if len(l.byText) < texts {
		return
	}
	for k, b := range l.byText {
		if b.refill(now); b.tokens == burst && !b.armed {
			delete(l.byText, k)
		}
	}
	for k := range l.byText {
		if len(l.byText) < texts {
			return
		}
		delete(l.byText, k) // a summary that is due still comes
	}
}
