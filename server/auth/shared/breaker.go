package shared

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

const (
	// maxRow failures in a row open a breaker. It costs little: the service is asked instead.
	maxRow = 3
	// window is the time over which the rate of failures is taken, of leastTries or more. It opens if
	// half of them fail.
	window     = 10 * time.Second
	leastTries = 20
	// openFor is how long it stays open. Run then tries once.
	openFor = 2 * time.Second
	// tryEvery is the time between two tries of Run, also while all is well. So health knows within 5 s
	// that Redis is gone, and that it is back.
	tryEvery = time.Second
)

// breaker stands before one kind of command.
type breaker struct {
	*gobreaker.CircuitBreaker[string]
	log    *slog.Logger
	renew  *atomic.Bool // set when it opens
	failed atomic.Uint64

	mu  sync.Mutex
	err error // why the last command failed; nil: it did not
}

func newBreaker(name string, log *slog.Logger, renew *atomic.Bool) *breaker {
	b := &breaker{log: log, renew: renew}
	b.CircuitBreaker = gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Name: name, Timeout: openFor, Interval: window, BucketPeriod: window / 10,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			bad, good := c.TotalFailures, c.TotalSuccesses
			return c.ConsecutiveFailures >= maxRow || bad+good >= leastTries && bad >= good
		},
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn("breaker", "of", name, "from", from.String(), "to", to.String(), "error", b.why())
			if to == gobreaker.StateOpen {
				renew.Store(true)
			}
		},
		IsExcluded: func(err error) bool { // we ended it
			return errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed)
		},
	})
	return b
}

// closed reports whether commands are made. While it is half-open only Run makes them.
func (b *breaker) closed() bool { return b.State() == gobreaker.StateClosed }

// do makes a command, and notes how it ended.
func (b *breaker) do(command func() (string, error)) (string, error) {
	return b.Execute(func() (string, error) {
		text, err := command()
		switch {
		case errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed):
			return text, err
		case errors.Is(err, redis.Nil):
			text, err = "", nil
		}
		if err != nil {
			b.failed.Add(1)
			err = why(err)
		}
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		return text, err
	})
}

// why returns why the last command failed.
func (b *breaker) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
