package rooms

import (
	"errors"
	"time"
)

// The errors with which a join, or the resume of one of its rooms, is answered.

// ErrTooManyRooms answers a join of a room that may not be created.
var ErrTooManyRooms = errors.New("the pattern already has max_rooms rooms")

// ErrEmptyRooms answers a join that would create a room without data for a user that already has as
// many as one user may have.
var ErrEmptyRooms = errors.New("the user has joined too many rooms that have no message yet")

// ErrGuestRooms answers a join that would create a room without data, where clients without a user have
// created half of those that there may be.
var ErrGuestRooms = errors.New("clients without a token have joined too many rooms that have no message yet")

// TooOldError means that this node can no longer send what came after a client's
// positions. Oldest is the earliest position from which everything can be sent. It is
// empty where that is not known.
type TooOldError struct {
	Oldest Positions
	Why    string
}

func (e *TooOldError) Error() string {
	if e.Why == "" {
		return "position too old: the gateway no longer holds what came after it"
	}
	return "position too old: " + e.Why
}

// NotNowError means that a request cannot be served now, for a reason that passes: Kafka is away, a
// budget is used up, the gateway is stopping. The client loses nothing, and the same request may
// succeed later, on this node or another.
type NotNowError struct {
	Why string
	// RetryAfter is how long the client should wait before it asks again.
	RetryAfter time.Duration
}

func (e *NotNowError) Error() string { return "not now: " + e.Why }

// retrySoon is how long a client waits when the reason most often passes within seconds.
const retrySoon = time.Second

// ErrStopped answers requests while the gateway is stopping.
var ErrStopped error = &NotNowError{Why: "the gateway is stopping", RetryAfter: retrySoon}
