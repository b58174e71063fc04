package wire

import (
	"strconv"
	"time"
)

// Envelope is everything in a message except the value.
type Envelope struct {
	Room, Type string
	Key        []byte
	HasKey     bool
	Partition  int32
	Offset     int64
	Prev       int64 // offset of the room's previous message from the partition; less than 0: not known
	Time       int64 // Kafka's timestamp, ms since 1970
}

// Append appends the envelope up to the value. The caller appends the value byte for byte, and then
// a brace.
func (e *Envelope) Append(dst []byte) []byte {
	dst = append(dst, keyPath[0]...)
	dst = AppendString(dst, e.Room)
	dst = append(dst, keyPath[1]...)
	dst = AppendString(dst, e.Type)
	if e.HasKey {
		dst = append(dst, keyPath[2]...)
		dst = AppendString(dst, e.Key)
	}
	dst = append(dst, posName...)
	dst = appendPos(dst, e.Partition, e.Offset)
	if e.Prev >= 0 {
		dst = append(dst, `,"prev":`...)
		dst = appendPos(dst, e.Partition, e.Prev)
	}
	dst = append(dst, `,"ts":`...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	return append(dst, `,"data":`...)
}

// keyPath is the text before each string of an envelope, up to the key.
var keyPath = [...]string{`{"room":`, `,"type":`, `,"key":`}

// posName is the text before the position of an envelope.
const posName = `,"pos":`

// AppendExpired appends the message that a key is gone. It is like the message of a tombstone, but
// without a position.
func AppendExpired(dst []byte, room, typ, key string) []byte {
	dst = append(dst, keyPath[0]...)
	dst = AppendString(dst, room)
	dst = append(dst, keyPath[1]...)
	dst = AppendString(dst, typ)
	dst = append(dst, keyPath[2]...)
	dst = AppendString(dst, key)
	return append(dst, `,"data":null}`...)
}

// KeyText returns the key in the frame of an envelope, escaped as it stands there, or nil if there
// is none.
func KeyText(frame []byte) (text []byte) {
	b := frame[HeaderLen(frame):]
	for _, name := range keyPath {
		if len(b) <= len(name) || string(b[:len(name)]) != name {
			return nil
		}
		b = b[len(name):]
		end := stringEnd(b)
		if end < 0 {
			return nil
		}
		text, b = b[1:end-1], b[end:]
	}
	return text
}

// stringEnd returns where the JSON string at the beginning of b ends, or -1 if there is none.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// AppendReplyHead appends what every reply begins with, up to the id.
func AppendReplyHead(dst []byte) []byte { return append(dst, `{"jsonrpc":"2.0","id":`...) }

// AppendResult appends the start of the reply to a request, up to its result. The caller appends
// the result and a brace. id is the id of the request, as it was sent.
func AppendResult(dst, id []byte) []byte {
	dst = append(AppendReplyHead(dst), id...)
	return append(dst, `,"result":`...)
}

// AppendNull appends the reply to a request that succeeded without a result.
func AppendNull(dst, id []byte) []byte { return append(AppendResult(dst, id), "null}"...) }

// AppendPing appends the reply to a ping.
func AppendPing(dst, id []byte, now time.Time) []byte {
	dst = append(AppendResult(dst, id), `{"timestamp":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	return append(dst, "}}"...)
}

// AppendErrorReply appends the reply to a request that was refused.
func AppendErrorReply(dst, id []byte, e *Error) []byte {
	dst = append(AppendReplyHead(dst), id...)
	dst = append(dst, `,"error":`...)
	return append(e.Append(dst), '}')
}

// Error is the error of a reply, or of one room in it.
type Error struct {
	Code       int
	Message    string
	Oldest     Positions     // of CodeTooOld: the earliest positions that are left; nil: not known
	RetryAfter time.Duration // of CodeNotNow: how long the client should wait; 0: not known
}

// Append appends the error as an object.
func (e *Error) Append(dst []byte) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, e.Message)
	switch {
	case e.Oldest != nil:
		dst = append(e.Oldest.AppendJSON(append(dst, `,"data":{"oldest":`...)), '}')
	case e.RetryAfter > 0:
		dst = strconv.AppendInt(append(dst, `,"data":{"retryAfter":`...), e.RetryAfter.Milliseconds(), 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// Identity is what a client is told about itself once it has authenticated.
type Identity struct {
	ClientID, UserID string
	Expires          int64 // of the token, seconds since 1970
	MaxMessage       int   // most bytes of a message from now on
	Anonymous        bool  // it has no user, and no token that expires
}

// Append appends the identity as an object.
func (i *Identity) Append(dst []byte) []byte {
	dst = append(dst, `{"clientId":`...)
	dst = AppendString(dst, i.ClientID)
	if i.Anonymous {
		dst = append(dst, `,"userId":null`...)
	} else {
		dst = AppendString(append(dst, `,"userId":`...), i.UserID)
		dst = strconv.AppendInt(append(dst, `,"expires":`...), i.Expires, 10)
	}
	dst = strconv.AppendInt(append(dst, `,"maxMessage":`...), int64(i.MaxMessage), 10)
	return append(dst, '}')
}

// Positions can write itself as JSON: {"epoch":"k3x9","0":1234}, or {} if it is not known.
type Positions interface{ AppendJSON(dst []byte) []byte }

// AppendString appends s as a JSON string with quotes. s must be valid UTF-8.
func AppendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// AppendComma appends a comma, unless dst still ends at start, where the list begins.
func AppendComma(dst []byte, start int) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return dst
}

func appendPos(dst []byte, partition int32, offset int64) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, int64(partition), 10)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, offset, 10)
	return append(dst, '"')
}
