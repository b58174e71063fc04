package registry

import (
	"strings"
	"time"
)

type answered struct {
	status Status
	detail string
	figure string
	value  int64
}

// ask asks a service for its health. A service that does not answer in time is degraded. While a
// question is under way no second one is asked, and the service is degraded at once. So one
// service's trouble stops neither /health nor the look at the others.
func (r *Registry) ask(e *entry) answered {
	e.mu.Lock()
	done := e.asked
	if done == nil {
		done = make(chan struct{})
		e.asked = done
		go e.answer(done)
	}
	e.mu.Unlock()
	onTime := true
	select {
	case <-done:
	case <-time.After(e.lookWait()):
		onTime = false
	}
	e.mu.Lock()
	said := e.said
	e.mu.Unlock()
	if !onTime {
		said.degrade("it does not report its health")
	}
	if why := r.lacks(e); why != "" {
		said.degrade(why)
	}
	if r.Troubles != nil {
		for _, why := range r.Troubles(e.Name) {
			said.degrade(why)
		}
	}
	return said
}

// answer lets the service answer, and closes done when it has.
func (e *entry) answer(done chan struct{}) {
	var said answered
	said.status, said.detail = e.Service.Health()
	said.figure, said.value = e.Service.Figure()
	e.mu.Lock()
	e.said, e.asked = said, nil
	e.mu.Unlock()
	close(done)
}

// degrade adds a reason. A status that is worse than degraded stays as it is.
func (a *answered) degrade(why string) {
	if a.status == Healthy || a.status == "" {
		a.status = Degraded
	}
	a.detail = strings.TrimPrefix(a.detail+"; "+why, "; ")
}
