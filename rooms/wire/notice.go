package wire

import (
	"strconv"
	"time"
)

// appendNotice appends the start of a notice, up to its params.
func appendNotice(dst []byte, method string) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","method":"`...)
	dst = append(dst, method...)
	return append(dst, `","params":`...)
}

// appendRoomNotice appends the start of a notice whose params begin with a room.
func appendRoomNotice(dst []byte, method, room string) []byte {
	return AppendString(append(appendNotice(dst, method), `{"room":`...), room)
}

// appendPartial appends the end of a notice, with "partial" if the room may lack last values.
func appendPartial(dst []byte, partial bool) []byte {
	if partial {
		dst = append(dst, `,"partial":true`...)
	}
	return append(dst, "}}"...)
}

// AppendGap appends `gap`: the messages after from, up to and including to, were not sent. from may
// be earlier than the member's last message, never later.
func AppendGap[P Positions](dst []byte, room string, from, to P) []byte {
	dst = appendRoomNotice(dst, "gap", room)
	dst = from.AppendJSON(append(dst, `,"from":`...))
	dst = to.AppendJSON(append(dst, `,"to":`...))
	return append(dst, "}}"...)
}

// AppendReset appends `reset`: the room's topic was created again and has another epoch.
func AppendReset(dst []byte, room, epoch string) []byte {
	dst = appendRoomNotice(dst, "reset", room)
	dst = AppendString(append(dst, `,"epoch":`...), epoch)
	return append(dst, "}}"...)
}

// AppendConflated appends `conflated`: count messages were superseded before they were sent.
func AppendConflated(dst []byte, room string, count uint64) []byte {
	dst = appendRoomNotice(dst, "conflated", room)
	dst = strconv.AppendUint(append(dst, `,"count":`...), count, 10)
	return append(dst, "}}"...)
}

// AppendSnapshotBegin appends `snapshot_begin`: the newest message of each key follows. If partial
// is set, the room may lack some.
func AppendSnapshotBegin(dst []byte, room string, partial bool) []byte {
	return appendPartial(appendRoomNotice(dst, "snapshot_begin", room), partial)
}

// AppendSnapshotEnd appends `snapshot_end`: the client has the room up to at.
func AppendSnapshotEnd[P Positions](dst []byte, room string, at P, partial bool) []byte {
	dst = appendRoomNotice(dst, "snapshot_end", room)
	return appendPartial(at.AppendJSON(append(dst, `,"positions":`...)), partial)
}

// AppendJoined appends `joined`: a room has appeared and its wildcard has joined it. If chain is
// set, every break in the chain of `prev` is a loss.
func AppendJoined[P Positions](dst []byte, room, pattern, class string, chain bool, at P, partial bool) []byte {
	dst = appendRoomNotice(dst, "joined", room)
	dst = AppendString(append(dst, `,"pattern":`...), pattern)
	dst = AppendString(append(dst, `,"class":`...), class)
	dst = strconv.AppendBool(append(dst, `,"chain":`...), chain)
	return appendPartial(at.AppendJSON(append(dst, `,"positions":`...)), partial)
}

// AppendLimit appends `limit`: a wildcard did not join the room and joins no further ones. limit is
// the configuration key of the limit that forbids it and most is its value. limit is "" if
// something else forbids it.
func AppendLimit(dst []byte, pattern, room, limit string, most int) []byte {
	dst = AppendString(append(appendNotice(dst, "limit"), `{"pattern":`...), pattern)
	dst = AppendString(append(dst, `,"room":`...), room)
	if limit != "" {
		dst = AppendString(append(dst, `,"limit":`...), limit)
		dst = strconv.AppendInt(append(dst, `,"most":`...), int64(most), 10)
	}
	return append(dst, "}}"...)
}

// PositionsHead begins a `positions` notice: where the client stands in rooms that were quiet.
// AppendPositionsOf appends a room or wildcard, and EndPositions ends the notice.
const PositionsHead = `{"jsonrpc":"2.0","method":"positions","params":{`

// AppendPositionsOf appends one entry to a notice that began with PositionsHead.
func AppendPositionsOf[P Positions](dst []byte, name string, at P) []byte {
	dst = AppendString(AppendComma(dst, len(PositionsHead)), name)
	return at.AppendJSON(append(dst, ':'))
}

// EndPositions ends a notice that began with PositionsHead.
func EndPositions(dst []byte) []byte { return append(dst, "}}"...) }

// AppendAuthRequired appends `auth_required`: the time in which the client must authenticate, the size
// that its messages may have until then, and whether its certificate is enough.
func AppendAuthRequired(dst []byte, timeout time.Duration, maxMessage int, certificate bool) []byte {
	dst = append(appendNotice(dst, "auth_required"), `{"timeout":`...)
	dst = strconv.AppendInt(dst, timeout.Milliseconds(), 10)
	dst = strconv.AppendInt(append(dst, `,"maxMessage":`...), int64(maxMessage), 10)
	if certificate {
		dst = append(dst, `,"certificate":true`...)
	}
	return append(dst, "}}"...)
}

// AppendAuthenticated appends `authenticated`: the client connected with a token that was accepted.
func AppendAuthenticated(dst []byte, client *Identity) []byte {
	return append(client.Append(appendNotice(dst, "authenticated")), '}')
}

// AppendExpiring appends `auth_expiring`: when the token expires, in seconds since 1970, and how
// much time is left.
func AppendExpiring(dst []byte, expires int64, left time.Duration) []byte {
	dst = append(appendNotice(dst, "auth_expiring"), `{"expires":`...)
	dst = strconv.AppendInt(dst, expires, 10)
	dst = append(dst, `,"timeLeft":`...)
	dst = strconv.AppendInt(dst, max(0, left.Milliseconds()), 10)
	return append(dst, "}}"...)
}

// AppendAutoSubscribed appends the start of `auto_subscribed`, up to its params, which list the
// rooms that were joined on authentication.
func AppendAutoSubscribed(dst []byte) []byte { return appendNotice(dst, "auto_subscribed") }

// AppendLeft appends the start of `left`, up to the rooms that the client was made to leave.
func AppendLeft(dst []byte, code int, why string) []byte {
	dst = append(appendNotice(dst, "left"), `{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = AppendString(append(dst, `,"message":`...), why)
	return append(dst, `,"rooms":[`...)
}

// AppendShutdown appends `server_shutdown`: the gateway closes all connections within the given
// time.
func AppendShutdown(dst []byte, within time.Duration) []byte {
	dst = append(appendNotice(dst, "server_shutdown"), `{"reason":"the server is stopping","within":`...)
	dst = strconv.AppendInt(dst, within.Milliseconds(), 10)
	return append(dst, "}}"...)
}
