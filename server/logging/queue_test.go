package logging

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// valve is a log's reader that can be stopped, or fail.
type valve struct {
	mu      sync.Mutex
	stalled sync.Mutex // held: Write waits
	fails   bool
	lines   []string
}

func (v *valve) Write(p []byte) (int, error) {
	v.stalled.Lock()
	defer v.stalled.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fails {
		return 0, errors.New("no space left on device")
	}
	v.lines = append(v.lines, string(p))
	return len(p), nil
}

// hold stalls the reader while the queue's writer holds a line, so that it takes no more.
func (v *valve) hold(t *testing.T, q *Queue) {
	v.stalled.Lock()
	q.Write([]byte("{}\n"))
	inTime(t, "the writer holds it", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.lines) == 0
	})
}

func (v *valve) fail(yes bool) { v.mu.Lock(); v.fails = yes; v.mu.Unlock() }

func (v *valve) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.lines
	v.lines = nil
	return out
}

// TestLogQueueNeverBlocks: with a reader that stalls, lines are taken up to the
// bound and dropped beyond it; once it reads again all that was taken comes, in
// order, and the number of the others.
func TestLogQueueNeverBlocks(t *testing.T) {
	var v valve
	q := NewQueue(&v)
	log, _ := New(q, slog.LevelInfo, "json")
	log.Info("first")
	inTime(t, "the first line", func() bool { return len(v.take()) == 1 })

	v.hold(t, q)
	long := strings.Repeat("x", 8<<10)
	sent, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for q.Dropped() == 0 {
			sent++
			q.Write([]byte(`{"n":` + long + "}\n"))
		}
		for range 99 {
			q.Write([]byte("{}\n" + long))
		}
	}()
	testwait.Closed(t, testwait.Patience, "lines, none of which waits for the log's reader", done)
	if n := q.Dropped(); n != 100 || q.Failed() != 0 {
		t.Errorf("%d dropped, %d failed; want 100 and 0", n, q.Failed())
	}
	if kept := sent - 1; kept < 100 || kept*len(long) > queueBytes+len(long) {
		t.Errorf("%d lines of %d bytes wait, of %d bytes at most", kept, len(long), queueBytes)
	}
	v.stalled.Unlock()
	if !q.Close(testwait.Patience) {
		t.Fatal("not written in time")
	}
	got := v.take()
	if len(got) != sent && len(got) != sent+1 { // the one held, those that waited, and at times the notice
		t.Fatalf("%d lines were written of %d", len(got), sent)
	}
	log.Info("too late")
	if q.Dropped() != 101 {
		t.Error("a line after the end is not counted")
	}
}

// TestLogQueueSaysWhatItDropped: before the next line that gets through, in the
// log's own format, and once.
func TestLogQueueSaysWhatItDropped(t *testing.T) {
	var v valve
	q := NewQueue(&v)
	q.most = 1 << 10
	log, _ := New(q, slog.LevelInfo, "json")
	v.hold(t, q)
	for range 50 {
		q.Write([]byte("{}\n"))
	}
	dropped := q.Dropped()
	if dropped == 0 {
		t.Fatal("nothing was dropped at the bound")
	}
	v.stalled.Unlock()
	said := func() (n float64, before string) {
		var all []string
		inTime(t, "the line that says it", func() bool {
			all = append(all, v.take()...)
			for i, l := range all {
				var m map[string]any
				if json.Unmarshal([]byte(l), &m) == nil && m["dropped"] != nil {
					if n = m["dropped"].(float64); !strings.Contains(m["msg"].(string), " lines were dropped") ||
						m["level"] != "WARN" {
						t.Errorf("said %s", l)
					}
					if i+1 < len(all) {
						before = all[i+1]
					}
					return true
				}
			}
			return false
		})
		return n, before
	}
	if n, _ := said(); n != float64(dropped) {
		t.Errorf("said %v, dropped %d", n, dropped)
	}
	// A full disk: what could not be written is said when there is room again.
	v.fail(true)
	log.Info("lost one")
	log.Info("lost two")
	inTime(t, "both fail", func() bool { return q.Failed() == 2 })
	if q.Dropped() != dropped+2 {
		t.Errorf("%d dropped", q.Dropped())
	}
	v.fail(false)
	log.Info("there is room again")
	if !q.Close(testwait.Patience) {
		t.Fatal("not written in time")
	}
	if n, next := said(); n != 2 || !strings.Contains(next, "room again") {
		t.Errorf("said %v, before %s", n, next)
	}
}

// TestLogQueueCloseIsBounded: a reader that never reads does not hold up the end.
func TestLogQueueCloseIsBounded(t *testing.T) {
	var v valve
	v.stalled.Lock()
	defer v.stalled.Unlock()
	q := NewQueue(&v)
	q.Write([]byte("{}\n"))
	begun := time.Now()
	if q.Close(50 * time.Millisecond) {
		t.Error("reported as written")
	}
	if took := time.Since(begun); took > testwait.Patience {
		t.Errorf("the end took %s", took)
	}
	if !q.Close(time.Hour) {
		t.Error("a second Close waits again")
	}
}

// inTime waits until ok holds.
func inTime(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testwait.Until(t, testwait.Patience, what, ok)
}
