package logging

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Queue is a writer that never blocks. It takes whole lines, and one goroutine of its own
// writes them. Lines that do not fit or cannot be written are dropped and counted, and the
// next line that is written says how many. Any goroutine may use it.
type Queue struct {
	most    int // bytes that may wait
	dropped atomic.Uint64
	failed  atomic.Uint64 // dropped because the writer returned an error

	mu     sync.Mutex // held for a few instructions
	lines  []line
	bytes  int    // of lines
	lost   uint64 // dropped since the last line that was taken
	closed bool
	notice func(n uint64) []byte // the line that says how many were dropped; nil: none is written

	wake chan struct{} // holds one token while there is something to do

	// The goroutine's own, once it runs.
	w    io.Writer
	owed uint64 // dropped and not reported yet
}

type line struct {
	text []byte
	lost uint64 // lines dropped before it
	then func() // run by the goroutine instead of writing

	notice func(n uint64) []byte // the queue's
}

const (
	// queueBytes is how much may wait for a slow reader: about 5,000 lines.
	queueBytes = 1 << 20
	// lineCost is the memory of a line besides its text.
	lineCost = 64
)

// NewQueue starts a queue in front of w, which may block for any time. Close ends it.
func NewQueue(w io.Writer) *Queue {
	q := &Queue{most: queueBytes, w: w, wake: make(chan struct{}, 1)}
	go q.run()
	return q
}

// Write takes whole lines; p may be used again at once. It never blocks and never fails.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	cost := len(p) + lineCost
	if q.closed || q.bytes+cost > q.most {
		q.lost++
		q.mu.Unlock()
		q.dropped.Add(1)
		return len(p), nil
	}
	q.bytes += cost
	q.lines = append(q.lines, line{text: append([]byte(nil), p...), lost: q.lost})
	q.lost = 0
	q.mu.Unlock()
	q.signal()
	return len(p), nil
}

func (q *Queue) setNotice(f func(n uint64) []byte) {
	q.mu.Lock()
	q.notice = f
	q.mu.Unlock()
}

// Fd returns the writer's descriptor, if it has one.
func (q *Queue) Fd() uintptr {
	if f, ok := q.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// Dropped returns how many lines were not written. Nil has dropped none.
func (q *Queue) Dropped() uint64 {
	if q == nil {
		return 0
	}
	return q.dropped.Load()
}

// Failed returns how many lines were dropped because the writer returned an error. Nil has dropped none.
func (q *Queue) Failed() uint64 {
	if q == nil {
		return 0
	}
	return q.failed.Load()
}

// Close writes what waits, for at most the given time, and accepts nothing more. It reports whether
// everything was written. A writer that still blocks is left behind.
func (q *Queue) Close(within time.Duration) bool {
	done := make(chan struct{})
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return true
	}
	q.closed = true
	q.lines = append(q.lines, line{then: func() { close(done) }})
	q.mu.Unlock()
	q.signal()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

// do makes the goroutine call f once the earlier lines have been written.
func (q *Queue) do(f func()) {
	q.mu.Lock()
	if !q.closed {
		q.lines = append(q.lines, line{then: f})
	}
	q.mu.Unlock()
	q.signal()
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) run() {
	for range q.wake {
		for {
			l, ok, closed := q.take()
			if ok {
				q.put(l)
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// take returns the oldest line, or one without text that tells how many were dropped.
func (q *Queue) take() (l line, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == 0 {
		l.lost, l.notice, q.lost = q.lost, q.notice, 0
		q.lines = nil // do not keep the memory of a burst
		return l, l.lost > 0, q.closed
	}
	l = q.lines[0]
	l.notice = q.notice
	q.lines[0] = line{}
	q.lines = q.lines[1:]
	if l.then == nil {
		q.bytes -= len(l.text) + lineCost
	}
	return l, true, false
}

// put writes one line, after one that says how many were dropped before it.
func (q *Queue) put(l line) {
	q.owed += l.lost
	if q.owed > 0 && l.then == nil && (l.notice == nil || q.write(l.notice(q.owed))) {
		q.owed = 0
	}
	if l.text != nil && !q.write(l.text) {
		q.owed++
		q.dropped.Add(1)
		q.failed.Add(1)
	}
	if l.then != nil {
		l.then()
	}
}

func (q *Queue) write(p []byte) bool {
	_, err := q.w.Write(p)
	return err == nil
}
