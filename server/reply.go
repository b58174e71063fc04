package server

import (
	"strconv"
	"strings"
	"time"

	"tapecast/loop"
	"tapecast/rooms"
)

// Error codes of replies. Those from -32700 to -32603 are JSON-RPC's.
const (
	codeParse     = -32700
	codeInvalid   = -32600
	codeMethod    = -32601
	codeParams    = -32602
	codeInternal  = -32603
	codeNeedAuth  = -32001
	codeAuth      = -32002
	codeAuthLate  = -32003
	codeRate      = -32004
	codeSubscribe = -32005
	codeNoRoom    = -32006
	codeForbidden = -32007
	codeTooOld    = -32008
	codeLimit     = -32009
	codeNotNow    = -32010
)

// Close codes. 4000 to 4099 say: do not reconnect; 4100 to 4199: back off;
// 4200 to 4299: reconnect with jitter and resume.
const (
	closeAway        = 1001
	closeUnsupported = 1003
	closeRestart     = 1012
	closeAuth        = 4001
	closeAuthLate    = 4004
	closeRate        = 4108
	closeTooMany     = 4129
	closeExpired     = 4201
)

// The functions below append the text of one message, or of a part. They
// allocate nothing but what dst grows by.

func appendResultHead(dst, id []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	return append(dst, `,"result":`...)
}

func appendError(dst, id []byte, f fault) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = append(dst, id...)
	dst = append(dst, `,"error":`...)
	return append(appendFault(dst, f), '}')
}

func appendFault(dst []byte, f fault) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(f.code), 10)
	dst = append(dst, `,"message":`...)
	dst = rooms.AppendString(dst, f.text)
	switch {
	case f.oldest != nil:
		dst = append(f.oldest.AppendJSON(append(dst, `,"data":{"oldest":`...)), '}')
	case f.retryAfter > 0:
		dst = strconv.AppendInt(append(dst, `,"data":{"retryAfter":`...), f.retryAfter.Milliseconds(), 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendNoticeHead(dst []byte, method string) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","method":"`...)
	dst = append(dst, method...)
	return append(dst, `","params":`...)
}

func appendAuthRequired(dst []byte, timeout time.Duration, maxMessage int) []byte {
	dst = appendNoticeHead(dst, "auth_required")
	dst = append(dst, `{"timeout":`...)
	dst = strconv.AppendInt(dst, timeout.Milliseconds(), 10)
	dst = appendInt(append(dst, `,"maxMessage":`...), maxMessage)
	return append(dst, "}}"...)
}

// appendAuthenticated appends what both the result of authenticate and the
// notice authenticated hold. maxMessage is the longest message that the client may send
// from now on, in bytes.
func appendAuthenticated(dst []byte, clientID string, user string, expires int64, maxMessage int) []byte {
	dst = append(dst, `{"clientId":`...)
	dst = rooms.AppendString(dst, clientID)
	dst = append(dst, `,"userId":`...)
	dst = rooms.AppendString(dst, user)
	dst = append(dst, `,"expires":`...)
	dst = strconv.AppendInt(dst, expires, 10)
	dst = appendInt(append(dst, `,"maxMessage":`...), maxMessage)
	return append(dst, '}')
}

func appendExpiring(dst []byte, expires int64, left time.Duration) []byte {
	dst = appendNoticeHead(dst, "auth_expiring")
	dst = append(dst, `{"expires":`...)
	dst = strconv.AppendInt(dst, expires, 10)
	dst = append(dst, `,"timeLeft":`...)
	dst = strconv.AppendInt(dst, max(0, left.Milliseconds()), 10)
	return append(dst, "}}"...)
}

func appendShutdown(dst []byte, within time.Duration) []byte {
	dst = appendNoticeHead(dst, "server_shutdown")
	dst = append(dst, `{"reason":"the server is stopping","within":`...)
	dst = strconv.AppendInt(dst, within.Milliseconds(), 10)
	return append(dst, "}}"...)
}

func appendPing(dst, id []byte, now time.Time) []byte {
	dst = appendResultHead(dst, id)
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	return append(dst, "}}"...)
}

// appendJoined appends a room that the connection is in (status joined) or
// was in (left), with the place up to which that holds.
func appendJoined(dst []byte, j *loop.Joined, status string) []byte {
	dst = append(dst, `{"room":`...)
	dst = rooms.AppendString(dst, j.Name)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, status...)
	dst = append(dst, `","class":`...)
	dst = rooms.AppendString(dst, j.Class)
	dst = append(dst, `,"chain":`...)
	dst = strconv.AppendBool(dst, j.Chain)
	if j.Already {
		dst = appendAlready(dst, j)
	}
	if j.Wild {
		return appendWild(dst, j, status)
	}
	dst = append(dst, `,"positions":`...)
	dst = j.Positions.AppendJSON(dst)
	if j.Partial {
		dst = append(dst, `,"partial":true`...)
	}
	return append(appendHowResumed(dst, j), '}')
}

// appendHowResumed appends whether a client that said where it was gets all that came since.
func appendHowResumed(dst []byte, j *loop.Joined) []byte {
	if j.Since {
		dst = strconv.AppendBool(append(dst, `,"recovered":`...), j.TooOld == nil)
	}
	if j.TooOld != nil { // it is joined all the same, and told up to where it has missed all
		dst = appendFault(append(dst, `,"error":`...), joinFault(j.TooOld))
	}
	return dst
}

// appendAlready appends what a membership is like that the client had before it asked.
func appendAlready(dst []byte, j *loop.Joined) []byte {
	dst = append(dst, `,"already":true`...)
	if j.Keys != nil {
		dst = append(dst, `,"keys":[`...)
		from := len(dst)
		for _, key := range j.Keys {
			dst = rooms.AppendString(appendComma(dst, from), key)
		}
		dst = append(dst, ']')
	}
	if j.Every > 0 { // six digits are more than a rate is told apart by
		dst = strconv.AppendFloat(append(dst, `,"max_rate":`...), float64(time.Second)/float64(j.Every), 'g', 6, 64)
	}
	return dst
}

// appendUnrecovered appends a room that was joined, though not from where the client was.
func appendUnrecovered(dst []byte, room string, f fault) []byte {
	dst = append(dst, `{"room":`...)
	dst = rooms.AppendString(dst, room)
	dst = append(dst, `,"recovered":false,"error":`...)
	return append(appendFault(dst, f), '}')
}

func appendRefused(dst []byte, room string, f fault) []byte {
	dst = append(dst, `{"room":`...)
	dst = rooms.AppendString(dst, room)
	dst = append(dst, `,"error":`...)
	return append(appendFault(dst, f), '}')
}

// appendComma appends a comma unless dst still ends at from, where a list began.
func appendComma(dst []byte, from int) []byte {
	if len(dst) > from {
		dst = append(dst, ',')
	}
	return dst
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// quoted is a client's text as it may stand in a message: short.
func quoted[S string | []byte](s S) string {
	const most = 64
	t := strings.ToValidUTF8(string(s), "\uFFFD")
	if len(t) > most {
		end := most
		for end > 0 && t[end]&0xc0 == 0x80 {
			end--
		}
		t = t[:end] + "…"
	}
	return string(rooms.AppendString(nil, t))
}
