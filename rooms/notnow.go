package rooms

import "time"

// NotNowError says that a request cannot be served for a reason that passes: Kafka is
// away, a budget is used up, the gateway stops. What the client asked for is not lost,
// and the same request may succeed later, here or on another node.
type NotNowError struct {
	Why string
	// RetryAfter is how long the client should wait before it asks again.
	RetryAfter time.Duration
}

func (e *NotNowError) Error() string { return "not now: " + e.Why }

// retrySoon is what a client waits for what most often passes within seconds.
const retrySoon = time.Second

// ErrStopped answers what comes while the gateway stops.
var ErrStopped error = &NotNowError{Why: "the gateway is stopping", RetryAfter: retrySoon}
