package server

import (
	"context"
	"time"
)

// service is a part of the gateway that the registry starts, watches and stops.
// It is given once and not changed. start and stop are called by one goroutine,
// never both at a time; health and figure by any.
type service struct {
	name string
	// needs names the services that run before this one starts and until it has
	// stopped.
	needs []string

	// start returns when the service runs; ctx bounds the starting only.
	start func(ctx context.Context) error
	// stop is start backwards. It returns when ctx ends, done or not. It is called
	// also after a start that failed.
	stop func(ctx context.Context) error
	// health is how the service does while it runs, and why it is not healthy.
	health func() (status, string)
	// figure is the one number that says what the service has done.
	figure func() (name string, value int64)

	// speaks: it warns of its troubles itself, so that the registry need not.
	speaks bool
	// optional: clients are served without it, degraded.
	optional bool
	// restart: it is started again after a start that failed, or when it is
	// unhealthy.
	restart bool
	// deadline bounds a start and a stop. Zero means 10 s.
	deadline time.Duration
}

func (s *service) within() time.Duration {
	if s.deadline > 0 {
		return s.deadline
	}
	return 10 * time.Second
}

// status is what is known of a service, as operators read it.
type status string

const (
	statusInitial   status = "initialized" // made, and not started yet
	statusStarting  status = "starting"
	statusHealthy   status = "healthy"
	statusDegraded  status = "degraded"  // serves, but not all of it, or not fresh
	statusUnhealthy status = "unhealthy" // does not serve
	statusStopping  status = "stopping"
	statusStopped   status = "stopped"
)

// backoff is how long to wait before a restart: doubled each time up to a cap,
// the later half of it at random, so that nodes that failed together do not
// come back together.
type backoff struct {
	first, most time.Duration
	jitter      func(time.Duration) time.Duration // a random part of it
}

// after is the wait after so many failures in a row, 1 or more.
func (b backoff) after(failures int) time.Duration {
	d := b.first
	for i := 1; i < failures && d < b.most; i++ {
		d *= 2
	}
	d = min(d, b.most)
	return d/2 + b.jitter(d/2)
}
