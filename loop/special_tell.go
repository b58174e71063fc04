package loop

import (
	"strconv"

	"tapecast/rooms"
)

// tell queues a notice that has its place before frames; false: not now, because so much
// waits already.
func (l *Loop) tell(c *Conn, notice []byte) bool {
	if c.out != nil && c.out.wouldOverflow(notice) {
		l.send.more = true
		return false
	}
	return l.enqueue(c, notice)
}

// tellFirst tells the client what it is to hear of a room before its first frame; false:
// not all of it now.
func (l *Loop) tellFirst(c *Conn, t *seat, x *special) bool {
	if x.found != nil && !l.announce(c, t, x) {
		return false
	}
	name := t.sub.Room().Name()
	if m := x.missed; m != nil {
		if !l.tell(c, rooms.AppendFrame(nil, rooms.OpText, rooms.AppendGap(nil, name, m.from, m.to))) {
			return false
		}
		x.missed = nil
		l.stats.Gaps++
	}
	if x.begin {
		x.begin = !l.tell(c, appendNotice(nil, "snapshot_begin", name, nil, l.table.Partial(t.sub.Room())))
	}
	return !x.begin
}

// appendNotice appends the frame of a notice that names a room; partial: which may lack
// last values.
func appendNotice(dst []byte, method, room string, p *rooms.Positions, partial bool) []byte {
	text := append([]byte(`{"jsonrpc":"2.0","method":"`), method...)
	text = rooms.AppendString(append(text, `","params":{"room":`...), room)
	if p != nil {
		text = p.AppendJSON(append(text, `,"positions":`...))
	}
	if partial {
		text = append(text, `,"partial":true`...)
	}
	return rooms.AppendFrame(dst, rooms.OpText, append(text, "}}"...))
}

func appendConflated(dst []byte, room string, n uint64) []byte {
	text := rooms.AppendString([]byte(`{"jsonrpc":"2.0","method":"conflated","params":{"room":`), room)
	text = strconv.AppendUint(append(text, `,"count":`...), n, 10)
	return rooms.AppendFrame(dst, rooms.OpText, append(text, "}}"...))
}
