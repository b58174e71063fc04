package registry

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

// Registry starts services in the order of their needs, watches them, restarts those that ask for
// it, and stops them in reverse order. Start and Stop are called once each. Any goroutine may call
// Report at any time.
type Registry struct {
	order []*entry // each after all that it needs
	log   *slog.Logger
	every time.Duration // between two looks at a service
	wait  backoff
	// Troubles returns what degrades a service besides what it reports itself. It may be nil.
	Troubles func(service string) []string

	cancel  context.CancelFunc
	watched chan struct{} // closed when watching has ended
}

type entry struct {
	*Service
	begun bool // start was called since the last stop; only the registry's goroutine uses it

	mu       sync.Mutex
	status   Status // while running, the last answer of Health
	detail   string
	running  bool
	started  bool // it has run at least once
	failures int  // in a row
	due      time.Time
	since    time.Time     // when it last started
	asked    chan struct{} // closed with the answer to the question under way; nil: none is
	said     answered      // the last answer
}

type answered struct {
	status Status
	detail string
	figure string
	value  int64
}

// New orders the services. It fails if a need is unknown, or if needs form a circle.
func New(log *slog.Logger, services ...*Service) (*Registry, error) {
	r := &Registry{log: log, every: 2 * time.Second,
		wait: backoff{500 * time.Millisecond, 30 * time.Second, rand.N[time.Duration]}}
	byName := map[string]*Service{}
	for _, s := range services {
		if byName[s.Name] != nil {
			return nil, fmt.Errorf("two services are called %s", s.Name)
		}
		byName[s.Name] = s
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(s *Service, path []string) error
	visit = func(s *Service, path []string) error {
		path = append(path, s.Name)
		switch state[s.Name] {
		case done:
			return nil
		case visiting:
			return fmt.Errorf("services need each other in a circle: %s", strings.Join(path, " -> "))
		}
		state[s.Name] = visiting
		for _, need := range s.Needs {
			n := byName[need]
			if n == nil {
				return fmt.Errorf("service %s needs %s, which does not exist", s.Name, need)
			}
			if err := visit(n, path); err != nil {
				return err
			}
		}
		state[s.Name] = done
		r.order = append(r.order, &entry{Service: s, status: Initialized})
		return nil
	}
	for _, s := range services {
		if err := visit(s, nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Start starts all services. If a service fails that is needed and has no restart, those before it
// are stopped again. ctx bounds only the start.
func (r *Registry) Start(ctx context.Context) error {
	for i, e := range r.order {
		err := r.begin(ctx, e)
		if err == nil || e.Restart && e.Optional && ctx.Err() == nil {
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

// Stop stops all services, the last started first, each within its deadline.
func (r *Registry) Stop(ctx context.Context) error {
	if r.cancel != nil {
		r.cancel()
		<-r.watched
	}
	return r.stopEach(ctx, r.order)
}

func (r *Registry) stopEach(ctx context.Context, entries []*entry) error {
	var errs []error
	for i := len(entries) - 1; i >= 0; i-- {
		errs = append(errs, r.end(ctx, entries[i]))
	}
	return errors.Join(errs...)
}

func (r *Registry) begin(ctx context.Context, e *entry) error {
	e.set(Starting, "", false)
	e.begun = true
	begun := time.Now()
	err := bounded(ctx, e.within(), e.Service.Start)
	if err != nil {
		err = fmt.Errorf("cannot start %s: %w", e.Name, err)
		e.failed(r.wait, err.Error())
		if ctx.Err() == nil {
			r.log.Error("service not started", "service", e.Name, "error", err, "restart", e.Restart)
		}
		return err
	}
	e.mu.Lock()
	e.status, e.detail, e.running, e.started, e.since = Healthy, "", true, true, time.Now()
	e.mu.Unlock()
	r.log.Debug("service started", "service", e.Name, "took", time.Since(begun).String())
	return nil
}

func (r *Registry) end(ctx context.Context, e *entry) error {
	if !e.begun {
		e.set(Stopped, "", false)
		return nil
	}
	e.set(Stopping, "", true)
	begun := time.Now()
	err := bounded(ctx, e.within(), e.Service.Stop)
	e.begun = false
	e.set(Stopped, "", false)
	if err != nil {
		err = fmt.Errorf("cannot stop %s: %w", e.Name, err)
		r.log.Error("service not stopped cleanly", "service", e.Name, "error", err)
		return err
	}
	r.log.Debug("service stopped", "service", e.Name, "took", time.Since(begun).String())
	return nil
}

// bounded runs f for at most that long. If f ignores its ctx, it is left behind.
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
	// A function that obeys ctx is about to return, and its error says more.
	select {
	case err := <-done:
		return err
	case <-time.After(100 * time.Millisecond):
		return fmt.Errorf("not done in time: %w", ctx.Err())
	}
}

func (r *Registry) watch(ctx context.Context) {
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

func (r *Registry) nextRestart() time.Duration {
	next := r.every
	for _, e := range r.order {
		e.mu.Lock()
		if !e.running && e.Restart {
			next = min(next, time.Until(e.due))
		}
		e.mu.Unlock()
	}
	return next
}

func (r *Registry) look(e *entry) {
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
	if now == Healthy && e.failures > 0 && time.Since(e.since) > r.wait.most {
		e.failures = 0
	}
	e.mu.Unlock()
	switch {
	case now == was:
	case now == Healthy:
		r.log.Info("service healthy", "service", e.Name, "was", string(was))
	default:
		level := slog.LevelWarn
		if e.Speaks && now == Degraded {
			level = slog.LevelInfo
		}
		r.log.Log(context.Background(), level, "service not healthy",
			"service", e.Name, "status", string(now), "detail", detail)
	}
	if now == Unhealthy && e.Restart {
		e.failed(r.wait, detail)
	}
}

func (r *Registry) again(ctx context.Context, e *entry) {
	e.mu.Lock()
	failures := e.failures
	e.mu.Unlock()
	r.log.Warn("restarting a service", "service", e.Name, "failures", failures)
	stop := context.WithoutCancel(ctx)
	_ = r.end(stop, e) // logged
	if ctx.Err() == nil {
		_ = r.begin(ctx, e) // logged, and tried again
	}
}

func (e *entry) wantsRestart(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Restart && !e.running && e.failures > 0 && !now.Before(e.due)
}

// failed notes that the service does not run, and when it may be started again.
func (e *entry) failed(wait backoff, detail string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures++
	e.status, e.detail, e.running = Unhealthy, detail, false
	e.due = time.Now().Add(wait.after(e.failures))
}

func (e *entry) set(s Status, detail string, running bool) {
	e.mu.Lock()
	e.status, e.detail, e.running = s, detail, running
	e.mu.Unlock()
}

// Report is the state of one service at a moment.
type Report struct {
	Name     string
	Status   Status
	Detail   string
	Running  bool
	Started  bool // it has run at least once
	Optional bool
	Figure   string
	Value    int64
}

// Report returns the state of all services, in the order of their start. It asks those that run,
// since the last look may be seconds old.
func (r *Registry) Report() []Report {
	out := make([]Report, len(r.order))
	for i, e := range r.order {
		e.mu.Lock()
		out[i] = Report{Name: e.Name, Status: e.status, Detail: e.detail, Running: e.running, Started: e.started,
			Optional: e.Optional}
		e.mu.Unlock()
		said := r.ask(e)
		if o := &out[i]; o.Running && o.Status != Stopping {
			o.Status, o.Detail = said.status, said.detail
		}
		out[i].Figure, out[i].Value = said.figure, said.value
	}
	return out
}

// Overall returns the gateway's status: unhealthy if a service that clients need does not serve.
func Overall(report []Report) Status {
	worst := Healthy
	for i := range report {
		switch s := &report[i]; {
		case s.Running && s.Status == Healthy:
		case s.Optional || s.Running && s.Status == Degraded:
			if worst == Healthy {
				worst = Degraded
			}
		default:
			worst = Unhealthy
		}
	}
	return worst
}
