package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// plainEvery is how often progress is told where it can't be told in place.
const plainEvery = 5 * time.Second

// Progress tells how a run goes: on a terminal in one line that is written over,
// elsewhere in plain lines, one in five seconds at most. Any goroutine may use it.
type Progress struct {
	w     io.Writer
	width func() int // columns of the terminal. nil: it is none

	mu   sync.Mutex
	open bool // a line is there that will be written over
	told time.Time
}

// NewProgress returns a Progress that writes to w, which may be a terminal.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = func() int {
			n, _, err := term.GetSize(int(f.Fd()))
			if err != nil || n < 20 {
				return 80
			}
			return n
		}
	}
	return p
}

// Write writes whole lines that stay.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.w.Write(b)
}

// tell says how it goes just now.
func (p *Progress) tell(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == nil {
		if now := time.Now(); now.Sub(p.told) >= plainEvery {
			p.told = now
			_, _ = fmt.Fprintln(p.w, s) // progress only
		}
		return
	}
	// A line that the terminal breaks could not be written over.
	if r := []rune(s); len(r) >= p.width() {
		s = string(r[:p.width()-1])
	}
	_, _ = io.WriteString(p.w, "\r"+s+"\x1b[K")
	p.open = true
}

// clear takes away the line that would be written over.
func (p *Progress) clear() {
	if p.open {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.open = false
	}
}

// progress is where a run's intervals are shown; nil: nowhere.
func (r *fanoutRun) progress() func(ClientPoint) {
	p, ok := r.cfg.Log.(*Progress)
	if !ok {
		return nil
	}
	return func(at ClientPoint) { p.tell(at.line(r.cfg.Duration, r.cfg.Clients)) }
}

// endProgress takes away the line that is written over.
func (r *fanoutRun) endProgress() {
	if p, ok := r.cfg.Log.(*Progress); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
	}
}

// line is a point as one line.
func (c *ClientPoint) line(window time.Duration, clients int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f of %s s", c.At, text.Number(window.Seconds()))
	if c.At < 0 {
		b.WriteString(" (warmup)")
	}
	fmt.Fprintf(&b, " · %s of %s clients · %s/s", text.Count(int64(c.Connected)), text.Count(int64(clients)),
		text.Count(int64(c.Delivered)))
	if c.Timed > 0 {
		fmt.Fprintf(&b, " · p99 %s", job.MS(c.P99))
	}
	fmt.Fprintf(&b, " · bench: publisher lag %s, client lag %s, asleep %.0f %%", job.MS(c.PublisherLag),
		job.MS(c.ClientLag), 100*c.Asleep)
	return b.String()
}
