package proto

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
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

// Positions returns the positions in an answer, by room.
func (s *subscribed) Positions() json.RawMessage {
	at := map[string]json.RawMessage{}
	for _, r := range s.Rooms {
		if r.Positions != nil {
			at[r.Room] = r.Positions
		}
	}
	b, err := json.Marshal(at)
	if err != nil {
		panic("BUG: cannot write positions as JSON: " + err.Error())
	}
	return b
}

// EntryID is the id of the `subscribe` whose answer admits a client.
const EntryID = 2

// List returns strings as a JSON list.
func List(s []string) string {
	b, err := json.Marshal(append([]string{}, s...))
	if err != nil {
		panic("BUG: cannot write strings as JSON: " + err.Error())
	}
	return string(b)
}

// MaskKey returns a random key for a client's frame (RFC 6455, 5.3).
func MaskKey() (key [4]byte) {
	binary.LittleEndian.PutUint32(key[:], rand.Uint32())
	return key
}

// Message is a JSON-RPC message from the gateway, with the members that a client needs.
type Message struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Result subscribed `json:"result"`
	Params struct {
		Room      string          `json:"room"`
		Positions json.RawMessage `json:"positions"`
		Errors    []struct {
			Room  string `json:"room"`
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"errors"`
	} `json:"params"`
}

// subscribed is the result of a `subscribe`.
type subscribed struct {
	Rooms []struct {
		Room      string          `json:"room"`
		Error     json.RawMessage `json:"error"`
		Positions json.RawMessage `json:"positions"`
	} `json:"rooms"`
}

func (s *subscribed) Refused() bool {
	for _, r := range s.Rooms {
		if len(r.Error) > 0 {
			return true
		}
	}
	return len(s.Rooms) == 0
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

// Quoted returns a string as JSON.
func Quoted(v string) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: cannot write strings as JSON: " + err.Error())
	}
	return string(b)
}
