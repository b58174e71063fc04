package rooms

import "time"

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
