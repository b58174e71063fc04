package ingest

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/sony/gobreaker/v2"
)

const (
	// letterRow dead letters in a row that Kafka does not store open their breaker. Without it each would
	// be kept for minutes, and fail as well.
	letterRow = 5
	// letterOpenFor is how long it stays open. Then one letter is the try: the next one, or the spare.
	letterOpenFor = 5 * time.Second
	// spareEvery is the least time between two letters that are kept as the spare, and between two looks
	// whether it has to be sent.
	spareEvery = time.Second
)

// letterBreaker stands before the dead-letter topic. While it is open, letters are counted as lost at once.
type letterBreaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// newLetterBreaker returns a closed one. opened is called when it opens, and must not block.
func newLetterBreaker(log *slog.Logger, opened func()) *letterBreaker {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "dead letters", Timeout: letterOpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= letterRow },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("breaker", "of", "kafka.dead_letter", "from", from.String(), "to", to.String())
			if to == gobreaker.StateOpen {
				opened()
			}
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

// spare is a copy of a letter. The breaker is tried with it where no bad record comes: it would stay
// half-open, and health degraded, until one does. It may be stored twice, with the same key, as each letter
// is that several nodes send.
type spare struct {
	at     time.Time
	letter kafka.Message
}

// keepSpare copies a letter, unless that was done a moment ago.
func (d *deadLetters) keepSpare(m *kafka.Message) {
	now := time.Now()
	if old := d.spare.Load(); old != nil && now.Sub(old.at) < spareEvery {
		return
	}
	s := &spare{now, *m}
	s.letter.Value, s.letter.Opaque = bytes.Clone(m.Value), nil
	s.letter.Headers = slices.Clone(m.Headers)
	for i := range s.letter.Headers {
		s.letter.Headers[i].Value = bytes.Clone(s.letter.Headers[i].Value)
	}
	d.spare.Store(s)
}

// spareSent is the Opaque of a spare. It is counted neither as sent nor as lost: as a letter it was.
type spareSent func(error)

// trySpare sends the spare if the breaker waits for a try, at the second look: until then a letter that is not
// stored yet may come, which would be lost beside the spare. It returns false if the breaker is closed.
func (d *deadLetters) trySpare() bool {
	state, s := d.breaker.State(), d.spare.Load()
	waited := d.yield
	d.yield = state == gobreaker.StateHalfOpen
	if state == gobreaker.StateClosed {
		return false
	}
	if state == gobreaker.StateOpen || !waited || s == nil || d.missing() != "" {
		return true
	}
	if done, err := d.breaker.Allow(); err == nil {
		letter := s.letter
		letter.Opaque = spareSent(done)
		if err := d.producer.Produce(&letter, nil); err != nil {
			d.spareEnded(done, err)
		}
	}
	return true
}

func (d *deadLetters) spareEnded(done func(error), err error) {
	switch {
	case ofLetter(err):
		d.spare.Store(nil) // the next letter may do
	case err != nil:
		d.failed.Store(err.Error())
	}
	done(err)
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
