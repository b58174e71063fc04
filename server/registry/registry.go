package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Registry starts services in the order of their needs, watches them, restarts those whose policy
// says so, and stops them in reverse order. Start and Stop are called once each. Any goroutine may
// call Report and Ready at any time.
type Registry struct {
	order  []*entry // each after all that it needs or wants
	byName map[string]*entry
	log    *slog.Logger
	jitter func(time.Duration) time.Duration // a random part of a wait
	// Troubles returns what degrades a service besides what it reports itself. It may be nil.
	Troubles func(service string) []string

	cancel  context.CancelFunc
	watched chan struct{} // closed when watching has ended
}

// New orders the services. It fails if a name is unknown, or if they need each other in a circle.
func New(log *slog.Logger, services ...*Service) (*Registry, error) {
	r := &Registry{log: log, byName: map[string]*entry{}, jitter: rand.N[time.Duration]}
	for _, s := range services {
		if r.byName[s.Name] != nil {
			return nil, fmt.Errorf("two services are called %s", s.Name)
		}
		r.byName[s.Name] = &entry{Service: s, status: Initialized}
	}
	for _, s := range services {
		if err := r.visit(r.byName[s.Name], nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// visit puts a service into the order, after those that it depends on. path is how it was come to.
func (r *Registry) visit(e *entry, path []string) error {
	if at := slices.Index(path, e.Name); at >= 0 {
		return fmt.Errorf("services need each other in a circle: %s", strings.Join(append(path[at:], e.Name), " -> "))
	}
	if slices.Contains(r.order, e) {
		return nil
	}
	for _, name := range slices.Concat(e.Needs, e.Wants) {
		n := r.byName[name]
		if n == nil {
			return fmt.Errorf("service %s needs %s, which does not exist", e.Name, name)
		}
		if err := r.visit(n, append(path, e.Name)); err != nil {
			return err
		}
	}
	r.order = append(r.order, e)
	return nil
}

// Start starts all services. If one fails that clients need, or that is not restarted, those before
// it are stopped again. ctx bounds only the start.
func (r *Registry) Start(ctx context.Context) error {
	for i, e := range r.order {
		if lost := r.lost(e); lost != "" {
			e.wait(lost)
			continue
		}
		err := r.begin(ctx, e)
		if err == nil || e.Restart.OnFailure && e.Optional && ctx.Err() == nil {
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

// Stop stops all services, the last started first, each within its deadline. Its error names those
// that did not end.
func (r *Registry) Stop(ctx context.Context) error {
	if r.cancel != nil {
		r.cancel()
		<-r.watched
	}
	return r.stopEach(ctx, r.order)
}

func (r *Registry) stopEach(ctx context.Context, entries []*entry) error {
	var errs []error
	var left []string
	for _, e := range slices.Backward(entries) {
		errs = append(errs, r.end(ctx, e))
		if e.behind.going() {
			left = append(left, fmt.Sprintf("the %s of %s", e.behind.what, e.Name))
		}
	}
	if left != nil {
		r.log.Error("services left behind, which still run", "what", strings.Join(left, ", "))
	}
	return errors.Join(errs...)
}

// begin starts a service.
func (r *Registry) begin(ctx context.Context, e *entry) error {
	e.set(Starting, "", false)
	e.begun = true
	begun := time.Now()
	err := e.bounded(ctx, "start", e.Service.Start)
	if err != nil {
		err = fmt.Errorf("cannot start %s: %w", e.Name, err)
		e.failed(r.jitter, err.Error())
		if ctx.Err() == nil {
			r.log.Error("service not started", "service", e.Name, "error", err, "restart", e.Restart.OnFailure)
		}
		return err
	}
	e.runs()
	r.log.Debug("service started", "service", e.Name, "took", time.Since(begun).String())
	return nil
}

// end stops a service that was begun.
func (r *Registry) end(ctx context.Context, e *entry) error {
	if !e.begun {
		e.set(Stopped, "", false)
		return nil
	}
	e.set(Stopping, "", true)
	begun := time.Now()
	err := e.bounded(ctx, "stop", e.Service.Stop)
	e.begun = false
	e.set(Stopped, "", false)
	if err != nil {
		err = fmt.Errorf("cannot stop %s: %w", e.Name, err)
		e.erred(err.Error())
		r.log.Error("service not stopped cleanly", "service", e.Name, "error", err)
		return err
	}
	r.log.Debug("service stopped", "service", e.Name, "took", time.Since(begun).String())
	return nil
}
