package registry

import (
	"context"
	"time"
)

// Service is a part of the gateway that the registry starts, watches and stops.
// It is given once and not changed. Start and Stop are called by one goroutine, never both at
// a time. Health and Figure may be called by any.
type Service struct {
	Name string
	// Needs names the services that run before this one starts and until it has
	// stopped.
	Needs []string

	// Start returns when the service runs. ctx bounds the start only.
	Start func(ctx context.Context) error
	// Stop undoes Start in reverse order. It returns when ctx ends, done or not. It is
	// also called after a start that failed.
	Stop func(ctx context.Context) error
	// Health returns how the service does while it runs, and why it is not healthy.
	Health func() (Status, string)
	// Figure returns the one number that says what the service has done.
	Figure func() (name string, value int64)

	// Speaks means that the service warns of its troubles itself, so that the registry
	// need not.
	Speaks bool
	// Optional means that clients are served without it, degraded.
	Optional bool
	// Restart means that it is started again after a start that failed, or when it is
	// unhealthy.
	Restart bool
	// Deadline bounds a start and a stop. Zero means 10 s.
	Deadline time.Duration
}

func (s *Service) within() time.Duration {
	if s.Deadline > 0 {
		return s.Deadline
	}
	return 10 * time.Second
}

// Status is what is known of a service, as operators read it.
type Status string

const (
	Initialized Status = "initialized" // made, and not started yet
	Starting    Status = "starting"
	Healthy     Status = "healthy"
	Degraded    Status = "degraded"  // serves, but not all of it, or not fresh
	Unhealthy   Status = "unhealthy" // does not serve
	Stopping    Status = "stopping"
	Stopped     Status = "stopped"
)

// backoff is how long to wait before a restart. It doubles each time, up to a cap. Half of
// it is random, so that nodes that failed together do not come back together.
type backoff struct {
	first, most time.Duration
	jitter      func(time.Duration) time.Duration // a random part of it
}

// after returns the wait after so many failures in a row, 1 or more.
func (b backoff) after(failures int) time.Duration {
	d := b.first
	for i := 1; i < failures && d < b.most; i++ {
		d *= 2
	}
	d = min(d, b.most)
	return d/2 + b.jitter(d/2)
}
