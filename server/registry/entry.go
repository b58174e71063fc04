package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// entry is a service and how it is. What is not under mu belongs to the goroutine that starts, watches
// or stops.
type entry struct {
	*Service
	begun  bool      // start was called since the last stop
	waits  bool      // for a service that it needs
	looked time.Time // the last look at its health
	behind behind

	mu       sync.Mutex
	status   Status // while running, the last answer of Health
	detail   string
	since    time.Time // of the status
	running  bool
	started  bool          // it has run at least once
	ran      time.Time     // when it last started
	failures int           // in a row
	due      time.Time     // of the next restart
	lastErr  string        // why it was last not healthy
	restarts int           // of all time
	why      string        // it was last restarted
	recent   []time.Time   // the last restarts, one more than the budget at most
	asked    chan struct{} // closed with the answer to the question under way; nil: none is
	said     answered      // the last answer
}

// behind is a start or stop that did not end in time and still goes on.
type behind struct {
	what string
	over chan struct{} // nil: there is none
}

func (b *behind) going() bool {
	if b.over == nil {
		return false
	}
	select {
	case <-b.over:
		return false
	default:
		return true
	}
}

var errNotInTime = errors.New("not done in time")

// bounded runs a start or stop for at most the service's deadline. What ignores its ctx is left behind,
// and the next one waits for its end: only one is under way at a time.
func (e *entry) bounded(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.within())
	defer cancel()
	if e.behind.going() {
		select {
		case <-e.behind.over:
		case <-ctx.Done():
			return fmt.Errorf("%w: its last %s has not ended", errNotInTime, e.behind.what)
		}
	}
	done, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		done <- f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// A function that obeys ctx is about to return, and its error says more.
	select {
	case err := <-done:
		return err
	case <-time.After(100 * time.Millisecond):
		e.behind = behind{what, over}
		return fmt.Errorf("%w: %w", errNotInTime, ctx.Err())
	}
}

// set changes the status.
func (e *entry) set(s Status, detail string, running bool) {
	e.mu.Lock()
	e.setLocked(s, detail, running)
	e.mu.Unlock()
}

func (e *entry) setLocked(s Status, detail string, running bool) {
	if e.status != s {
		e.since = time.Now()
	}
	e.status, e.detail, e.running = s, detail, running
	if detail != "" && s != Stopped {
		e.lastErr = detail
	}
}

// runs notes that it was started.
func (e *entry) runs() {
	e.mu.Lock()
	e.setLocked(Healthy, "", true)
	e.started, e.ran = true, time.Now()
	e.mu.Unlock()
	e.waits, e.looked = false, time.Now()
}

// wait notes that it is not started before another service runs.
func (e *entry) wait(lost string) {
	e.waits = true
	e.set(Stopped, "it waits for "+lost+", which it needs", false)
}

// erred notes a fault that does not change the status.
func (e *entry) erred(why string) {
	e.mu.Lock()
	e.lastErr = why
	e.mu.Unlock()
}

// failed notes that the service does not run, and when it may be started again.
func (e *entry) failed(jitter func(time.Duration) time.Duration, detail string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures++
	e.setLocked(Unhealthy, detail, false)
	e.due = time.Now().Add(e.Restart.after(e.failures, jitter))
}

// restarted notes a restart.
func (e *entry) restarted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restarts++
	e.why = e.lastErr
	if most := e.Restart.Budget; most > 0 {
		e.recent = append(e.recent, time.Now())
		e.recent = e.recent[max(0, len(e.recent)-most-1):]
	}
}

// spentLocked reports whether it was restarted more often than its budget allows.
func (e *entry) spentLocked() bool {
	most := e.Restart.Budget
	return most > 0 && len(e.recent) > most && time.Since(e.recent[0]) < e.Restart.within()
}

// isRunning reports whether it runs.
func (e *entry) isRunning() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running
}
