package proto

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// Requests as formats: a list of rooms, then an id.
const (
	JoinRequest  = `{"method":"subscribe","params":{"rooms":%s,"snapshot":false},"id":%d}`
	LeaveRequest = `{"method":"unsubscribe","params":{"rooms":%s},"id":%d}`
)

// PastRequest is a JoinRequest that resumes from a position.
func PastRequest(since string) string {
	return `{"method":"subscribe","params":{"rooms":%s,"snapshot":false,"since":` + since + `},"id":%d}`
}

// Member returns the text between a prefix and the next quote.
func Member(env []byte, prefix string) ([]byte, bool) {
	_, rest, ok := bytes.Cut(env, []byte(prefix))
	if !ok {
		return nil, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil, false
	}
	return rest[:end], true
}

// ParsePos parses a position, "PARTITION:OFFSET".
func ParsePos(p []byte) (partition, offset int64, ok bool) {
	a, b, found := bytes.Cut(p, []byte{':'})
	if !found {
		return 0, 0, false
	}
	partition, err1 := strconv.ParseInt(string(a), 10, 32)
	offset, err2 := strconv.ParseInt(string(b), 10, 64)
	return partition, offset, err1 == nil && err2 == nil && partition >= 0 && offset >= 0
}

// EntryID is the id of the `subscribe` whose answer admits a client.
const EntryID = 2

// JSON returns a value as JSON, for values that always can be written.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot write as JSON: " + err.Error())
	}
	return string(b)
}

// List returns strings as a JSON list.
func List(s []string) string { return JSON(append([]string{}, s...)) }

// Message is a JSON-RPC message from the gateway, with the members that a client needs.
type Message struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Error  *Fault          `json:"error"`
	Result subscribed      `json:"result"`
	Params struct {
		Room      string          `json:"room"`
		Positions json.RawMessage `json:"positions"`
		Errors    []struct {
			Room  string `json:"room"`
			Error Fault  `json:"error"`
		} `json:"errors"`
	} `json:"params"`
}

// Fault is why a request, or one of its rooms, was refused.
type Fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    struct {
		RetryAfter int64 `json:"retryAfter"` // ms
	} `json:"data,omitzero"`
}

// Room is a room in the answer to a `subscribe`.
type Room struct {
	Room      string          `json:"room"`
	Error     *Fault          `json:"error,omitempty"`
	Chain     *bool           `json:"chain,omitempty"` // nil: the gateway does not say
	Recovered *bool           `json:"recovered,omitempty"`
	Positions json.RawMessage `json:"positions,omitempty"`
	Rooms     []Room          `json:"rooms,omitempty"` // of a wildcard
}

type subscribed struct{ Rooms []Room }

// Refused reports whether a room was refused, or none was named.
func (s *subscribed) Refused() bool {
	return len(s.Rooms) == 0 || slices.ContainsFunc(s.Rooms, func(r Room) bool { return r.Error != nil })
}

// Positions returns the positions in an answer, by room.
func (s *subscribed) Positions() json.RawMessage {
	at := map[string]json.RawMessage{}
	for _, r := range s.Rooms {
		if r.Positions != nil {
			at[r.Room] = r.Positions
		}
	}
	return json.RawMessage(JSON(at))
}

// AuthFailed is the error code for a token that is not accepted.
const AuthFailed = -32002

// Remedies where the gateway admits no client.
const (
	SeeToken   = "; see --secret, --secret-file, --ed25519-key and --token"
	WantsToken = "the gateway wants a token: give --secret, --secret-file, --ed25519-key or --token"
)

// MethodOf returns the method of a notice without parsing it.
func MethodOf(p []byte) string {
	m, ok := Member(p[:min(len(p), 80)], `"method":"`)
	if !ok {
		return ""
	}
	if bytes.Equal(m, []byte("positions")) {
		return "positions" // a constant, so nothing is copied
	}
	return string(m)
}
