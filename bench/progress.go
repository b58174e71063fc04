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

// plainEvery is the time between two lines of progress where a line cannot be overwritten.
const plainEvery = 5 * time.Second

// Progress shows how a run goes. On a terminal it is one line that is overwritten.
// Elsewhere it is plain lines, at most one in five seconds. Any goroutine may use it.
type Progress struct {
	w     io.Writer
	width func() int // columns of the terminal. nil: it is not a terminal

	mu   sync.Mutex
	open bool // the last line will be overwritten
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
	// A line that the terminal wraps could not be overwritten.
	if r := []rune(s); len(r) >= p.width() {
		s = string(r[:p.width()-1])
	}
	_, _ = io.WriteString(p.w, "\r"+s+"\x1b[K")
	p.open = true
}

// clear removes the line that would be overwritten.
func (p *Progress) clear() {
	if p.open {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.open = false
	}
}

// progress returns the function that shows a run's intervals; nil: none.
func (r *fanoutRun) progress() func(ClientPoint) {
	p, ok := r.cfg.Log.(*Progress)
	if !ok {
		return nil
	}
	return func(at ClientPoint) { p.tell(at.line(r.cfg.Duration, r.cfg.Clients)) }
}

// endProgress removes the line that would be overwritten.
func (r *fanoutRun) endProgress() {
	if p, ok := r.cfg.Log.(*Progress); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
	}
}

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
