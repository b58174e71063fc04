package loop

// countEvery is after how many bytes of a walk they are counted.
const countEvery = 256 << 10

// mayWalk asks whether the member may be sent the room's last values, where it would be.
func (l *Loop) mayWalk(c *Conn, room string, keys int) error {
	if l.engine.cfg.SnapshotBegins == nil {
		return nil
	}
	return l.engine.cfg.SnapshotBegins(c, room, keys)
}

// walked notes n bytes that a walk was sent.
func (l *Loop) walked(c *Conn, t *seat, n int) {
	x := c.special(t)
	if x.sent += int64(n); x.sent >= countEvery {
		l.countWalk(c, t, x)
	}
}

// countWalk tells of the bytes that were not told of yet.
func (l *Loop) countWalk(c *Conn, t *seat, x *special) {
	if x.sent > 0 && l.engine.cfg.SnapshotSent != nil {
		l.engine.cfg.SnapshotSent(c, t.sub.Room().Name(), x.sent)
	}
	x.sent = 0
}
