package registry

import (
	"slices"
	"strings"
	"time"
)

// Report is the state of one service at a moment.
type Report struct {
	Name      string
	Status    Status
	Detail    string
	Since     time.Time // of the status, as the last look found it
	Running   bool
	Started   bool // it has run at least once
	Optional  bool
	LastError string // why it was last not healthy; "": it always was
	Restarts  int
	Why       string // it was last restarted
	Spent     bool   // it is restarted more often than its budget allows
	Figure    string
	Value     int64
}

// Report returns the state of all services, in the order of their start. It asks those that run,
// since the last look may be seconds old.
func (r *Registry) Report() []Report {
	out := make([]Report, len(r.order))
	for i, e := range r.order {
		e.mu.Lock()
		out[i] = Report{Name: e.Name, Status: e.status, Detail: e.detail, Since: e.since, Running: e.running,
			Started: e.started, Optional: e.Optional, LastError: e.lastErr, Restarts: e.restarts, Why: e.why,
			Spent: e.spentLocked()}
		e.mu.Unlock()
		said := r.ask(e)
		o := &out[i]
		if o.Running && o.Status != Stopping {
			if said.status != o.Status {
				o.Since = time.Now()
			}
			o.Status, o.Detail = said.status, said.detail
		}
		if o.Spent {
			o.Detail = strings.TrimPrefix(o.Detail+"; it is restarted too often", "; ")
		}
		o.Figure, o.Value = said.figure, said.value
	}
	return out
}

// Overall returns the gateway's status: unhealthy if a service that clients need does not serve, or
// if one is restarted too often.
func Overall(report []Report) Status {
	worst := Healthy
	for i := range report {
		switch s := &report[i]; {
		case s.Spent:
			worst = Unhealthy
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

// Ready reports whether clients can be let in, or what is missing.
func (r *Registry) Ready() (ok bool, why string) {
	for _, e := range r.order {
		switch {
		case e.Optional:
		case !e.isRunning():
			return false, e.Name + " does not run yet"
		case e.Service.Ready != nil:
			if ok, why := e.Service.Ready(); !ok {
				return false, why
			}
		}
	}
	return true, ""
}

// lacks returns the reason that a service is degraded if one that it needs or wants does not run.
func (r *Registry) lacks(e *entry) string {
	var names []string
	for _, name := range slices.Concat(e.Needs, e.Wants) {
		if !r.byName[name].isRunning() {
			names = append(names, name)
		}
	}
	if names == nil {
		return ""
	}
	return "it is without " + strings.Join(names, " and ")
}
