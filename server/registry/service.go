package registry

import (
	"cmp"
	"context"
	"time"
)

// Service is a part of the gateway that the registry starts, watches and stops. It must not change
// once it is registered. Start and Stop are called one at a time. Any goroutine may call the other
// functions.
type Service struct {
	Name string
	// Needs names the services that run before this one starts and until it has stopped.
	Needs []string
	// Wants names services that start before this one and stop after it. It starts without them too.
	Wants []string
	// Follows means that the service is stopped when one that it needs fails, and started again when
	// that one runs again. Others go on, degraded.
	Follows bool

	// Start returns when the service runs. ctx bounds only the start.
	Start func(ctx context.Context) error
	// Stop undoes Start in reverse order. It returns when ctx ends, even if it is not done. It is
	// also called after a start that failed.
	Stop func(ctx context.Context) error
	// Health returns the status of the service while it runs, and why it is not healthy.
	Health func() (Status, string)
	// Ready reports whether clients can be let in once it runs, or what is missing. nil: they can.
	Ready func() (ok bool, why string)
	// Figure returns the one number that shows what the service has done.
	Figure func() (name string, value int64)

	// Speaks means that the service logs its troubles itself, so that the registry does not.
	Speaks bool
	// Optional means that clients are served without it, degraded.
	Optional bool
	// Restart says what is done after a failure.
	Restart Restart
	// LookEvery is the time between two looks at its health. Zero means 2 s.
	LookEvery time.Duration
	// LookWait is how long it has to report its health. Zero means 500 ms.
	LookWait time.Duration
	// Deadline bounds a start and a stop. Zero means 10 s.
	Deadline time.Duration
}

// Restart is a policy. A service has failed if its start does, or if it says that it is unhealthy.
type Restart struct {
	// OnFailure means that the service is stopped then and started again. Otherwise it is left alone.
	OnFailure bool
	// First is the wait before the first restart, which doubles up to Most while it fails. Half of
	// each wait is random. Zero means 500 ms, and 30 s.
	First, Most time.Duration
	// Budget is how many restarts there may be Within a time. If there are more, the node says that it
	// is unhealthy, even if the service runs or is optional. The restarts go on. Zero means any
	// number, and 10 minutes.
	Budget int
	Within time.Duration
}

func (s *Service) within() time.Duration    { return cmp.Or(s.Deadline, 10*time.Second) }
func (s *Service) lookEvery() time.Duration { return cmp.Or(s.LookEvery, 2*time.Second) }
func (s *Service) lookWait() time.Duration  { return cmp.Or(s.LookWait, 500*time.Millisecond) }
func (p *Restart) within() time.Duration    { return cmp.Or(p.Within, 10*time.Minute) }
func (p *Restart) most() time.Duration      { return cmp.Or(p.Most, 30*time.Second) }

// after returns the wait after that many failures in a row, 1 or more. Half of it is random, so that
// nodes that failed together do not restart together.
func (p *Restart) after(failures int, jitter func(time.Duration) time.Duration) time.Duration {
	d := cmp.Or(p.First, 500*time.Millisecond)
	for i := 1; i < failures && d < p.most(); i++ {
		d *= 2
	}
	d = min(d, p.most())
	return d/2 + jitter(d/2)
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
