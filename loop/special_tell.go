package loop

import (
	"tapecast/rooms/wire"
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
		if !l.tell(c, wire.TextFrame(wire.AppendGap(nil, name, m.from, m.to))) {
			return false
		}
		x.missed = nil
		l.stats.Gaps++
	}
	if x.begin {
		x.begin = !l.tell(c, wire.TextFrame(wire.AppendSnapshotBegin(nil, name, l.table.Partial(t.sub.Room()))))
	}
	return !x.begin
}
