package ingest

import (
	"errors"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/sony/gobreaker/v2"
)

const (
	// letterRow dead letters in a row that Kafka does not store open their breaker. Without it each would
	// be kept for minutes, and fail as well.
	letterRow = 5
	// letterOpenFor is how long it stays open. Then one letter is the try: there is nothing else to send.
	letterOpenFor = 5 * time.Second
)

// letterBreaker stands before the dead-letter topic. While it is open, letters are counted as lost at once.
type letterBreaker = gobreaker.TwoStepCircuitBreaker[struct{}]

func newLetterBreaker(log *slog.Logger) *letterBreaker {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "dead letters", Timeout: letterOpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= letterRow },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("breaker", "of", "kafka.dead_letter", "from", from.String(), "to", to.String())
		},
		IsExcluded: ofLetter,
	})
}

// ofLetter reports whether an error says nothing of the topic: the letter is too large, too many are on
// their way, or we gave it up.
func ofLetter(err error) bool {
	var e kafka.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case kafka.ErrMsgSizeTooLarge, kafka.ErrInvalidMsg, kafka.ErrInvalidRecord, kafka.ErrQueueFull,
		kafka.ErrPurgeQueue, kafka.ErrPurgeInflight:
		return true
	}
	return false
}

// fault says why letters are not stored now; "": they are.
func (d *deadLetters) fault() string {
	if state := d.breaker.State(); state != gobreaker.StateClosed {
		why, _ := d.failed.Load().(string)
		return "records are not stored: " + why + " (breaker " + state.String() + ")"
	}
	return ""
}

// LetterBreaker returns how the breaker before the dead-letter topic is: closed, half-open or open.
func (c *Consumer) LetterBreaker() string { return c.dead.breaker.State().String() }
