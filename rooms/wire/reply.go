package wire

import (
	"strconv"
	"time"
)

// AppendResult appends the start of the reply to a request, up to its result. The caller appends
// the result and a brace. id is the id of the request, as it was sent.
func AppendResult(dst, id []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
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
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
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
}

// Append appends the identity as an object.
func (i *Identity) Append(dst []byte) []byte {
	dst = append(dst, `{"clientId":`...)
	dst = AppendString(dst, i.ClientID)
	dst = append(dst, `,"userId":`...)
	dst = AppendString(dst, i.UserID)
	dst = append(dst, `,"expires":`...)
	dst = strconv.AppendInt(dst, i.Expires, 10)
	dst = strconv.AppendInt(append(dst, `,"maxMessage":`...), int64(i.MaxMessage), 10)
	return append(dst, '}')
}
