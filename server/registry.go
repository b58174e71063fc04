package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// registry starts services in the order of their needs, watches them, restarts
// those that want it, and stops them in reverse order. start and stop are called
// once each; report by any goroutine, any time.
type registry struct {
	order []*entry // each after all that it needs
	log   *slog.Logger
	every time.Duration // between two looks at a service
	wait  backoff
	// troubles are what degrades a service beside what it says itself; nil: nothing.
	troubles func(service string) []string

	cancel  context.CancelFunc
	watched chan struct{} // closed when nothing is watched any more
}

// entry is a service and its state.
type entry struct {
	*service
	begun bool // start was called since the last stop: the registry's goroutine alone knows

	mu       sync.Mutex
	status   status // while running, what health said last
	detail   string
	running  bool
	started  bool // ever
	failures int  // in a row
	due      time.Time
	since    time.Time     // it runs
	asked    chan struct{} // closed with the answer to a question under way; nil: there is none
	said     answered      // the last one
}

// answered is what a service says of itself.
type answered struct {
	status status
	detail string
	figure string
	value  int64
}

// newRegistry orders the services. It fails where a need is unknown, or goes in
// a circle.
func newRegistry(log *slog.Logger, services ...*service) (*registry, error) {
	r := &registry{log: log, every: 2 * time.Second, wait: backoff{500 * time.Millisecond, 30 * time.Second, rand.N[time.Duration]}}
	byName := map[string]*service{}
	for _, s := range services {
		if byName[s.name] != nil {
			return nil, fmt.Errorf("two services are called %s", s.name)
		}
		byName[s.name] = s
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(s *service, path []string) error
	visit = func(s *service, path []string) error {
		path = append(path, s.name)
		switch state[s.name] {
		case done:
			return nil
		case visiting:
			return fmt.Errorf("services need each other in a circle: %s", strings.Join(path, " -> "))
		}
		state[s.name] = visiting
		for _, need := range s.needs {
			n := byName[need]
			if n == nil {
				return fmt.Errorf("service %s needs %s, which does not exist", s.name, need)
			}
			if err := visit(n, path); err != nil {
				return err
			}
		}
		state[s.name] = done
		r.order = append(r.order, &entry{service: s, status: statusInitial})
		return nil
	}
	for _, s := range services {
		if err := visit(s, nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// start starts all services. Where one fails that is needed and has no restart,
// those before it are stopped again. ctx bounds the start only.
func (r *registry) start(ctx context.Context) error {
	for i, e := range r.order {
		err := r.begin(ctx, e)
		if err == nil || e.restart && e.optional && ctx.Err() == nil {
			continue
		}
		stop := context.WithoutCancel(ctx)
		return errors.Join(err, r.stopEach(stop, r.order[:i+1]))
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel, r.watched = cancel, make(chan struct{})
	go r.watch(watch)
	return nil
}

// stop stops all services, the last started first, each within its deadline.
func (r *registry) stop(ctx context.Context) error {
	if r.cancel != nil {
		r.cancel()
		<-r.watched
	}
	return r.stopEach(ctx, r.order)
}

func (r *registry) stopEach(ctx context.Context, entries []*entry) error {
	var errs []error
	for i := len(entries) - 1; i >= 0; i-- {
		errs = append(errs, r.end(ctx, entries[i]))
	}
	return errors.Join(errs...)
}

// begin starts one service.
func (r *registry) begin(ctx context.Context, e *entry) error {
	e.set(statusStarting, "", false)
	e.begun = true
	begun := time.Now()
	err := bounded(ctx, e.within(), e.service.start)
	if err != nil {
		err = fmt.Errorf("cannot start %s: %w", e.name, err)
		e.failed(r.wait, err.Error())
		if ctx.Err() == nil {
			r.log.Error("service not started", "service", e.name, "error", err, "restart", e.restart)
		}
		return err
	}
	e.mu.Lock()
	e.status, e.detail, e.running, e.started, e.since = statusHealthy, "", true, true, time.Now()
	e.mu.Unlock()
	r.log.Debug("service started", "service", e.name, "took", time.Since(begun).String())
	return nil
}

// end stops one service, if it was started.
func (r *registry) end(ctx context.Context, e *entry) error {
	if !e.begun {
		e.set(statusStopped, "", false)
		return nil
	}
	e.set(statusStopping, "", true)
	begun := time.Now()
	err := bounded(ctx, e.within(), e.service.stop)
	e.begun = false
	e.set(statusStopped, "", false)
	if err != nil {
		err = fmt.Errorf("cannot stop %s: %w", e.name, err)
		r.log.Error("service not stopped cleanly", "service", e.name, "error", err)
		return err
	}
	r.log.Debug("service stopped", "service", e.name, "took", time.Since(begun).String())
	return nil
}

// bounded runs f for so long at most: what does not heed its ctx is left behind.
func bounded(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// Who heeds ctx is about to return, and has more to say than we.
	select {
	case err := <-done:
		return err
	case <-time.After(100 * time.Millisecond):
		return fmt.Errorf("not done in time: %w", ctx.Err())
	}
}

// watch looks at the services until ctx ends.
func (r *registry) watch(ctx context.Context) {
	defer close(r.watched)
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-time.After(r.nextRestart()):
		}
		for _, e := range r.order {
			r.look(e)
			if e.wantsRestart(time.Now()) && ctx.Err() == nil {
				r.again(ctx, e)
			}
		}
	}
}

// nextRestart is how long until a service is to be restarted.
func (r *registry) nextRestart() time.Duration {
	next := r.every
	for _, e := range r.order {
		e.mu.Lock()
		if !e.running && e.restart {
			next = min(next, time.Until(e.due))
		}
		e.mu.Unlock()
	}
	return next
}

// look asks a service how it does, and logs a change.
func (r *registry) look(e *entry) {
	e.mu.Lock()
	running, was := e.running, e.status
	e.mu.Unlock()
	if !running {
		return
	}
	said := r.ask(e)
	now, detail := said.status, said.detail
	e.mu.Lock()
	e.status, e.detail = now, detail
	if now == statusHealthy && e.failures > 0 && time.Since(e.since) > r.wait.most {
		e.failures = 0
	}
	e.mu.Unlock()
	switch {
	case now == was:
	case now == statusHealthy:
		r.log.Info("service healthy", "service", e.name, "was", string(was))
	default:
		level := slog.LevelWarn
		if e.speaks && now == statusDegraded {
			level = slog.LevelInfo
		}
		r.log.Log(context.Background(), level, "service not healthy",
			"service", e.name, "status", string(now), "detail", detail)
	}
	if now == statusUnhealthy && e.restart {
		e.failed(r.wait, detail)
	}
}

// again stops what is left of a service and starts it.
func (r *registry) again(ctx context.Context, e *entry) {
	e.mu.Lock()
	failures := e.failures
	e.mu.Unlock()
	r.log.Warn("restarting a service", "service", e.name, "failures", failures)
	stop := context.WithoutCancel(ctx)
	_ = r.end(stop, e) // logged
	if ctx.Err() == nil {
		_ = r.begin(ctx, e) // logged, and tried again
	}
}

func (e *entry) wantsRestart(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.restart && !e.running && e.failures > 0 && !now.Before(e.due)
}

// failed notes that the service does not run, and when it may be started again.
func (e *entry) failed(wait backoff, detail string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures++
	e.status, e.detail, e.running = statusUnhealthy, detail, false
	e.due = time.Now().Add(wait.after(e.failures))
}

func (e *entry) set(s status, detail string, running bool) {
	e.mu.Lock()
	e.status, e.detail, e.running = s, detail, running
	e.mu.Unlock()
}

// serviceReport is the state of one service at a moment.
type serviceReport struct {
	name     string
	status   status
	detail   string
	running  bool
	started  bool // ever
	optional bool
	figure   string
	value    int64
}

// report is the state of all services, in the order of their start. Those that
// run are asked: what the last look found may be seconds old.
func (r *registry) report() []serviceReport {
	out := make([]serviceReport, len(r.order))
	for i, e := range r.order {
		e.mu.Lock()
		out[i] = serviceReport{name: e.name, status: e.status, detail: e.detail, running: e.running, started: e.started, optional: e.optional}
		e.mu.Unlock()
		said := r.ask(e)
		if o := &out[i]; o.running && o.status != statusStopping {
			o.status, o.detail = said.status, said.detail
		}
		out[i].figure, out[i].value = said.figure, said.value
	}
	return out
}

// overall is the gateway's status: unhealthy where a service that clients need does
// not serve.
func overall(report []serviceReport) status {
	worst := statusHealthy
	for i := range report {
		switch s := &report[i]; {
		case s.running && s.status == statusHealthy:
		case s.optional || s.running && s.status == statusDegraded:
			if worst == statusHealthy {
				worst = statusDegraded
			}
		default:
			worst = statusUnhealthy
		}
	}
	return worst
}
