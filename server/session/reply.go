package session

import (
	"strconv"
	"time"

	"tapecast/loop"
	"tapecast/rooms/wire"
)

// The functions below append a message, or a part of it. They allocate only when dst grows.

func appendError(dst, id []byte, f fault) []byte {
	e := f.wire()
	return wire.AppendErrorReply(dst, id, &e)
}

func appendFault(dst []byte, f fault) []byte {
	e := f.wire()
	return e.Append(dst)
}

func (f *fault) wire() wire.Error {
	e := wire.Error{Code: f.code, Message: f.text, RetryAfter: f.retryAfter}
	if f.oldest != nil {
		e.Oldest = f.oldest
	}
	return e
}

// appendJoined appends a room that the connection is in (joined) or was in (left), with positions.
func appendJoined(dst []byte, j *loop.Joined, status string) []byte {
	dst = append(dst, `{"room":`...)
	dst = wire.AppendString(dst, j.Name)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, status...)
	dst = append(dst, `","class":`...)
	dst = wire.AppendString(dst, j.Class)
	dst = append(dst, `,"chain":`...)
	dst = strconv.AppendBool(dst, j.Chain)
	if j.Already {
		dst = appendAlready(dst, j)
	}
	if j.Wildcard {
		return appendWildcard(dst, j, status)
	}
	dst = append(dst, `,"positions":`...)
	dst = j.Positions.AppendJSON(dst)
	if j.Partial {
		dst = append(dst, `,"partial":true`...)
	}
	return append(appendHowResumed(dst, j), '}')
}

// appendHowResumed appends whether a client that resumes gets everything since.
func appendHowResumed(dst []byte, j *loop.Joined) []byte {
	if j.Since {
		dst = strconv.AppendBool(append(dst, `,"recovered":`...), j.TooOld == nil)
	}
	if j.TooOld != nil { // it is joined in any case; the reply says up to where it has missed messages
		dst = appendFault(append(dst, `,"error":`...), joinFault(j.TooOld))
	}
	return dst
}

// appendAlready appends the wishes of a membership that the client had before the request.
func appendAlready(dst []byte, j *loop.Joined) []byte {
	dst = append(dst, `,"already":true`...)
	if j.Keys != nil {
		dst = append(dst, `,"keys":[`...)
		from := len(dst)
		for _, key := range j.Keys {
			dst = wire.AppendString(wire.AppendComma(dst, from), key)
		}
		dst = append(dst, ']')
	}
	if j.Every > 0 { // six digits are enough for a rate
		dst = strconv.AppendFloat(append(dst, `,"max_rate":`...), float64(time.Second)/float64(j.Every), 'g', 6, 64)
	}
	return dst
}

// appendUnrecovered appends a room that was joined, but not from where the client was.
func appendUnrecovered(dst []byte, room string, f fault) []byte {
	dst = append(dst, `{"room":`...)
	dst = wire.AppendString(dst, room)
	dst = append(dst, `,"recovered":false,"error":`...)
	return append(appendFault(dst, f), '}')
}

func appendRefused(dst []byte, room string, f fault) []byte {
	dst = append(dst, `{"room":`...)
	dst = wire.AppendString(dst, room)
	dst = append(dst, `,"error":`...)
	return append(appendFault(dst, f), '}')
}

// appendKinds appends, by room, its class, and whether every break in its chain is a loss.
func appendKinds(dst []byte, joined []loop.Joined) []byte {
	byRoom := func(name string, value func(*loop.Joined)) {
		dst = append(append(append(dst, `,"`...), name...), `":{`...)
		from := len(dst)
		for i := range joined {
			if j := &joined[i]; j.Err == nil {
				dst = append(wire.AppendString(wire.AppendComma(dst, from), j.Name), ':')
				value(j)
			}
		}
		dst = append(dst, '}')
	}
	byRoom("class", func(j *loop.Joined) { dst = wire.AppendString(dst, j.Class) })
	byRoom("chain", func(j *loop.Joined) { dst = strconv.AppendBool(dst, j.Chain) })
	return dst
}
