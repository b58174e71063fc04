package registry

import (
	"context"
	"time"
)

// Service is a part of the gateway that the registry starts, watches and stops. It must not change
// once it is registered. Start and Stop are called by one goroutine, never both at a time. Any
// goroutine may call Health and Figure.
type Service struct {
	Name string
	// Needs names the services that run before this one starts and until it has stopped.
	Needs []string

	// Start returns when the service runs. ctx bounds only the start.
	Start func(ctx context.Context) error
	// Stop undoes Start in reverse order. It returns when ctx ends, even if it is not done. It is
	// also called after a start that failed.
	Stop func(ctx context.Context) error
	// Health returns the status of the service while it runs, and why it is not healthy.
	Health func() (Status, string)
	// Figure returns the one number that shows what the service has done.
	Figure func() (name string, value int64)

	// Speaks means that the service logs its troubles itself, so that the registry does not.
	Speaks bool
	// Optional means that clients are served without it, degraded.
	Optional bool
	// Restart means that it is started again after a start that failed, or when unhealthy.
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

// Status is the status of a service, as operators read it.
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

// backoff is the wait before a restart. It doubles each time, up to a maximum. Half of it is
// random, so that nodes that failed together do not restart together.
type backoff struct {
	first, most time.Duration
	jitter      func(time.Duration) time.Duration // a random part of it
}

// after returns the wait after that many failures in a row, 1 or more.
func (b backoff) after(failures int) time.Duration {
	d := b.first
	for i := 1; i < failures && d < b.most; i++ {
		d *= 2
	}
	d = min(d, b.most)
	return d/2 + b.jitter(d/2)
}
