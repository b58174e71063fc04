package registry

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// watch looks at the services, restarts those that failed, and starts those that waited for others.
func (r *Registry) watch(ctx context.Context) {
	defer close(r.watched)
	timer := time.NewTimer(r.next())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, e := range r.order {
			if r.look(e) {
				r.release(ctx, e)
			}
			switch {
			case ctx.Err() != nil:
			case e.waits && r.lost(e) == "":
				_ = r.begin(ctx, e) // logged
			case e.wantsRestart(time.Now()):
				r.again(ctx, e)
			}
		}
		timer.Reset(r.next())
	}
}

// next returns the time until something is due.
func (r *Registry) next() time.Duration {
	next := 2 * time.Second
	for _, e := range r.order {
		e.mu.Lock()
		switch {
		case e.running:
			next = min(next, time.Until(e.looked.Add(e.lookEvery())))
		case e.Restart.OnFailure && e.failures > 0 && !e.waits:
			next = min(next, time.Until(e.due))
		}
		e.mu.Unlock()
	}
	return max(next, time.Millisecond)
}

// look asks a service that runs how it is, if that is due. It reports whether it has failed.
func (r *Registry) look(e *entry) (failed bool) {
	e.mu.Lock()
	running, was := e.running, e.status
	e.mu.Unlock()
	if !running || time.Since(e.looked) < e.lookEvery() {
		return false
	}
	said := r.ask(e)
	now, detail := said.status, said.detail
	e.looked = time.Now()
	e.mu.Lock()
	e.setLocked(now, detail, true)
	if now == Healthy && e.failures > 0 && time.Since(e.ran) > e.Restart.most() {
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
	if now == Unhealthy && e.Restart.OnFailure {
		e.failed(r.jitter, detail)
		return true
	}
	return false
}

// release stops the services that follow one that failed, the last started first.
func (r *Registry) release(ctx context.Context, failed *entry) {
	gone := []*entry{failed}
	for _, e := range r.order {
		if e.Follows && e.isRunning() && slices.ContainsFunc(gone, func(g *entry) bool {
			return slices.Contains(e.Needs, g.Name)
		}) {
			gone = append(gone, e)
		}
	}
	for _, e := range slices.Backward(gone[1:]) {
		r.log.Warn("service stopped with one that it needs", "service", e.Name, "needs", failed.Name)
		_ = r.end(context.WithoutCancel(ctx), e) // logged
		e.wait(failed.Name)
	}
}

// again restarts a service that failed.
func (r *Registry) again(ctx context.Context, e *entry) {
	e.restarted()
	r.log.Warn("restarting a service", "service", e.Name, "failures", e.failures)
	_ = r.end(context.WithoutCancel(ctx), e) // logged
	if ctx.Err() == nil {
		_ = r.begin(ctx, e) // logged, and tried again
	}
}

func (e *entry) wantsRestart(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Restart.OnFailure && !e.running && e.failures > 0 && !e.waits && !now.Before(e.due)
}

// lost returns a service that e needs and that does not run, or "".
func (r *Registry) lost(e *entry) string {
	for _, name := range e.Needs {
		if !r.byName[name].isRunning() {
			return name
		}
	}
	return ""
}
