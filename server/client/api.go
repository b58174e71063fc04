package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Positions is where a room or wildcard stands: the epoch of its topic and, by Kafka partition, the
// last offset. -1 is before the first. In JSON it is {"epoch": "k3x9", "0": 1234}.
type Positions struct {
	Epoch   string
	Offsets map[int32]int64
}

// NextPositions are positions as Kafka's consumers write them: by partition, the offset to read next.
// One of TopicID and Epoch is needed.
type NextPositions struct {
	TopicID string          `json:"topicId,omitempty"`
	Epoch   string          `json:"epoch,omitempty"`
	Next    map[int32]int64 `json:"next"`
}

// From is where a room goes on that its application has the state of: Positions or NextPositions.
type From interface {
	from() (Positions, *NextPositions, error)
}

// MarshalJSON returns the gateway's form.
func (p Positions) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(p.Offsets)+1)
	if p.Epoch != "" {
		m["epoch"] = p.Epoch
	}
	for partition, offset := range p.Offsets {
		m[strconv.Itoa(int(partition))] = offset
	}
	return json.Marshal(m)
}

// UnmarshalJSON takes the gateway's form.
func (p *Positions) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*p = Positions{Offsets: make(map[int32]int64, len(m))}
	for name, v := range m {
		if name == "epoch" {
			if err := json.Unmarshal(v, &p.Epoch); err != nil {
				return err
			}
			continue
		}
		partition, err := strconv.ParseUint(name, 10, 31)
		if err != nil || strconv.FormatUint(partition, 10) != name {
			return fmt.Errorf("%q is not a partition", name)
		}
		var offset int64
		if err := json.Unmarshal(v, &offset); err != nil {
			return err
		}
		p.Offsets[int32(partition)] = offset
	}
	return nil
}

func (p Positions) clone() Positions {
	return Positions{p.Epoch, maps.Clone(p.Offsets)}
}

// set makes the offset the last one of its partition.
func (p *Positions) set(partition int32, offset int64) {
	if p.Offsets == nil {
		p.Offsets = map[int32]int64{}
	}
	p.Offsets[partition] = offset
}

// sound reports whether a room can be resumed from these positions.
func (p Positions) sound() bool {
	return p.Epoch != "" && inRange(p.Offsets, -1)
}

// inRange reports whether a gateway takes these offsets: integers that JSON's readers have exactly.
func inRange(offsets map[int32]int64, least int64) bool {
	for partition, offset := range offsets {
		if partition < 0 || offset < least || offset >= 1<<53 {
			return false
		}
	}
	return true
}

func (p Positions) from() (Positions, *NextPositions, error) {
	if !p.sound() {
		return Positions{}, nil, fmt.Errorf("positions %v lack an epoch, or are out of range", p)
	}
	return p.clone(), nil, nil
}

func (n NextPositions) from() (Positions, *NextPositions, error) {
	if !inRange(n.Next, 0) || n.Epoch == "" && n.TopicID == "" {
		return Positions{}, nil, fmt.Errorf("positions %v lack an epoch and a topicId, or are out of range", n)
	}
	if n.Epoch == "" {
		n.Next = maps.Clone(n.Next)
		if n.Next == nil {
			n.Next = map[int32]int64{}
		}
		return Positions{}, &n, nil
	}
	at := Positions{Epoch: n.Epoch, Offsets: make(map[int32]int64, len(n.Next))}
	for partition, next := range n.Next {
		at.Offsets[partition] = next - 1
	}
	return at, nil, nil
}

// Message is a message of a room. Data is the Kafka value as JSON; null says that the key is gone.
type Message struct {
	Room string          `json:"room"`
	Type string          `json:"type,omitempty"`
	Key  string          `json:"key,omitempty"`
	Pos  string          `json:"pos,omitempty"`  // Kafka's partition and offset, as in "3:1234"
	Prev string          `json:"prev,omitempty"` // the position of the message before it in the same room and partition
	TS   int64           `json:"ts,omitempty"`   // Kafka's timestamp in ms since 1970
	Data json.RawMessage `json:"data"`

	keyed bool // it has a key, which may be empty
}

// Gap is messages that the room had and the application was not sent.
type Gap struct {
	Room     string
	From, To Positions
	// Cause is "server": the gateway said so; "chain": messages were missing twice; "unknown": there
	// was no position.
	Cause string
}

// Reset says that the room's topic was created again: what came before means nothing now.
type Reset struct{ Room, Epoch string }

// Joined is how the gateway answered a join.
type Joined struct {
	Room             string
	Class            string
	Chain, Recovered bool
	Positions        Positions
}

// Error is an error that the gateway answered; or code 1006: the connection was lost before an
// answer came; 1009: a request is too long; 0: a fault on the client's side.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error returns the message and its code.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

func failure(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// retryAfter returns the time that the error's data names, a day at most, or 0.
func (e *Error) retryAfter() time.Duration {
	var data retry
	if e == nil || json.Unmarshal(e.Data, &data) != nil {
		return 0
	}
	return millis(min(max(data.RetryAfter, 0), float64(maxWait.Milliseconds())))
}

// wait returns after how long what was refused may be asked again. 0: it is refused for good.
func (e *Error) wait() time.Duration {
	if d := e.retryAfter(); d > 0 || e == nil {
		return d
	}
	if e.Code == -32004 || e.Code == -32010 {
		return time.Second
	}
	return 0
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// State is the state of a client.
type State string

// The states of a client.
const (
	Idle       State = "idle"
	Connecting State = "connecting"
	Open       State = "open"
	Waiting    State = "waiting"
	Closed     State = "closed"
)

// Ending says why a connection ended, in the states Waiting and Closed, and how long the client waits.
type Ending struct {
	Code   int
	Reason string
	Wait   time.Duration
}
