package rooms

import (
	"errors"
	"slices"

	"tapecast/rooms/wire"
)

// guest is a client on a node, and does for it what an event loop does for a seat.
type guest struct {
	*client
	node  *node
	sub   *Sub
	at    uint64
	sift  Sift
	await bool // the next keyframe

	walk  walkModel
	known Known
	over  bool   // the walk has come to
	until uint64 // where it is level with the room
	upon  [modelParts]int64

	past   *Past // read again, and to be sent first
	pastAt int
	upTo   []Pos // how far it goes, which is to number seam; nil: the tape has taken over
	seam   uint64
	epoch  string
}

type walkModel int

const (
	walksNot walkModel = iota
	walksSnapshot
	walksOn
	walksResume
)

// join seats the client, at since where that is not nil; nil: it was refused.
func (n *node) join(c *client, since *Positions) *guest {
	if since == nil {
		c.begin()
	}
	given := n.ask(c.room, since)
	class := given.Pattern.Class
	c.moved = c.moved || c.at0 != n
	c.at0 = n
	m := &guest{client: c, node: n, sub: given.Sub, at: given.At, await: given.Await}
	if m.sub.Local == nil {
		m.sub.Local = new(bool)
	}
	*m.sub.Local.(*bool) = true
	if errors.As(given.TooOld, new(*NotNowError)) { // the client keeps its place
		n.leave(given.Sub)
		return nil
	}
	if given.TooOld != nil && !class.Snapshot {
		c.refused(given.TooOld.(*TooOldError))
		n.leave(given.Sub)
		return nil
	}
	if m.deflated = c.deflated && class.Deflate; m.deflated {
		given.Sub.Room().TakeDeflated(1)
		m.sift.Deflated = true
	}
	if c.keys != nil {
		m.sift.SetKeys(c.wanted())
	}
	snapshot := class.Snapshot && (given.TooOld != nil || since == nil && given.Keys > 0)
	switch how := given.Resume; {
	case how != nil:
		m.sift.Resumed(how)
		m.upTo, m.seam, m.epoch = how.UpTo, m.at, since.Epoch
		if how.Recall {
			past, err := n.w.recall(c.room, how.After(), how.UpTo)
			if how.Lost != "" {
				err = &TooOldError{Why: how.Lost}
			}
			switch {
			case err != nil && class.Snapshot:
				m.upTo, m.sift.Have = nil, nil
				m.snapshot()
				return m
			case err != nil:
				c.refused(err)
				m.stand()
				return nil
			}
			m.past = past
		}
		if how.Walk {
			m.walk, m.known, m.past, m.upTo = walksResume, how.Known, nil, nil
		}
		c.resumed(given.Positions, m.exact())
	case snapshot:
		m.snapshot()
	default:
		c.joined(given.Positions, n)
	}
	return m
}

func (n *node) ask(room string, since *Positions) *Seat {
	p, _, _ := n.cfg.Catalog.Resolve(room)
	j := &Join{Rooms: []Seat{{Name: room, Pattern: p, Since: since}}, Done: func(*Join) {}}
	n.Join(n.l, j)
	n.answer()
	if err := j.Rooms[0].Err; err != nil {
		n.t.Fatalf("cannot join %s: %v", room, err)
	}
	return &j.Rooms[0]
}

// recall reads again what the tapes do not have, and as an ingest that keeps what it has
// read for others, a little more.
func (w *world) recall(room string, after, upTo []Pos) (*Past, *TooOldError) {
	topic := w.topics[topicOf(room)]
	var list []Record
	for part := range modelParts {
		from, to := offsetOf(after, part), offsetOf(upTo, part)
		if from < topic.begin[part]-1 || from >= int64(len(topic.logs[part])) {
			return nil, &TooOldError{}
		}
		for off := max(from-2, topic.begin[part]); off < min(to+4, int64(len(topic.logs[part]))); off++ {
			if e := topic.logs[part][off]; e.room == room {
				r := Record{Room: []byte(room), Type: "t", Key: []byte(e.key), HasKey: true, Partition: int32(part), Offset: off, Time: 1}
				if e.value != "" {
					r.Value = []byte(e.value)
				}
				list = append(list, r)
			}
		}
	}
	p, _, _ := w.nodes[0].cfg.Catalog.Resolve(room)
	return NewPast(p, room, list, nil), nil
}

func offsetOf(list []Pos, part int) int64 {
	for _, p := range list {
		if p.Partition == int32(part) {
			return p.Offset
		}
	}
	return -1
}

func (m *guest) snapshot() {
	m.walk, m.over, m.at = walksSnapshot, false, 0
	m.known, m.sift.Until = m.sub.Room().Forgotten(), m.sub.Room().Head()
	m.client.snapshotBegins(m.node)
}

// exact says that the member gets every frame, or a notice.
func (m *guest) exact() bool { return m.walk == walksNot }

// level says that it has been sent all there is.
func (m *guest) level() bool {
	return m.walk == walksNot && m.at == m.sub.Room().Head() && m.past == nil && !m.await
}

// positions is the place up to which the client has its room.
func (m *guest) positions() Positions {
	if m.walk == walksSnapshot || m.past != nil {
		return Positions{}
	}
	at := m.node.PositionsAt(m.sub.Room(), m.at)
	if m.sift.Have != nil {
		at = at.Raised(m.epoch, m.sift.Have)
	}
	return at
}

// stand gives up the seat.
func (m *guest) stand() {
	if m.deflated {
		m.sub.Room().TakeDeflated(-1)
	}
	m.node.leave(m.sub)
	if m.snapping {
		m.placed, m.snapping = false, false
	}
}

// visit sends the member some of what it lacks; false: its connection is closed.
func (m *guest) visit(max int) bool {
	r := m.sub.Room()
	m.w.t.Logf("%s is at %d, its room has %d to %d; walk %d, up to %v, seam %d", m.room, m.at, r.Tail(), r.Head(), m.walk, m.upTo, m.seam)
	if m.upTo != nil && m.past == nil {
		if m.at > m.seam {
			m.upTo = nil
		} else if m.at < r.Tail() && !m.reseat() {
			return m.lagged()
		}
	}
	m.settle()
	if m.await {
		head := r.Head()
		k, ok := r.Keyframe()
		if !ok || k < m.at {
			m.at = head
			return true
		}
		m.await, m.at = false, k
		m.client.lag(Positions{}, m.node.PositionsAt(r, k))
		return true
	}
	if m.past != nil {
		next, pieces := m.past.Cut(m.pastAt, max, &m.sift, m.upTo, nil)
		if m.send(pieces, true); len(pieces) == 0 {
			m.past = nil
		}
		m.pastAt = next
		return true
	}
	if m.walk == walksNot && r.Class().Conflate && m.node.Behind(r, m.at) {
		m.walk, m.known = walksOn, Known{}
	}
	if m.walk != walksNot {
		next, pieces, level, lost := r.CutLatest(m.at, m.known, max, &m.sift, nil)
		if lost {
			m.sift.Have = nil
			m.snapshot()
			return true
		}
		m.client.walks(m.node)
		m.send(pieces, false)
		m.at, m.until, m.over, m.upon = next, next, level, m.node.next[topicOf(m.room)]
		m.settle()
		return true
	}
	if m.sift.Have == nil && m.upTo == nil && r.Jump(m.at) {
		return m.lagged()
	}
	next, pieces, lagged := m.cut(r, max)
	if lagged {
		return m.lagged()
	}
	m.send(pieces, true)
	m.at = next
	m.settle()
	return true
}

// cut is the way that a loop chooses: the plain one where nothing is left out.
func (m *guest) cut(r *Room, max int) (uint64, []Piece, bool) {
	switch {
	case m.sift.Have != nil || m.sift.Keyed():
		return r.CutSome(m.at, max, &m.sift, nil)
	case m.deflated:
		return r.CutDeflated(m.at, max, nil)
	}
	return r.Cut(m.at, max, nil)
}

// settle ends what has come to its end.
func (m *guest) settle() {
	r := m.sub.Room()
	if m.walk != walksNot && m.over && m.at >= m.until {
		if m.walk == walksSnapshot {
			m.client.snapshotEnds(m.node.PositionsAt(r, m.at))
		}
		m.client.walked(m.upon)
		m.walk, m.over = walksNot, false
	}
	if m.sift.Have != nil && m.upTo == nil {
		past := m.at >= m.sift.Until
		if m.sift.Ahead {
			at := m.node.PositionsAt(r, m.at)
			past = at.Epoch != "" && (at.Epoch != m.epoch || at.Cover(m.sift.Have))
		}
		if past {
			m.sift.Have = nil
		}
	}
}

// reseat gives the member another seam, since the tape has gone on without it while
// the past was sent; false: it has lost something.
func (m *guest) reseat() bool {
	since := Positions{Epoch: m.epoch, Offsets: slices.Clone(m.upTo)}.Raised(m.epoch, m.sift.Have)
	given := m.node.ask(m.room, &since)
	m.node.leave(given.Sub)
	how := given.Resume
	if given.TooOld != nil || how.Lost != "" {
		m.upTo = nil
		return false
	}
	var past *Past
	if how.Recall {
		var err *TooOldError
		if past, err = m.node.w.recall(m.room, how.After(), how.UpTo); err != nil {
			m.upTo = nil
			return false
		}
	}
	m.at, m.seam = given.At, given.At
	m.sift.Resumed(how)
	m.upTo, m.past, m.pastAt = how.UpTo, past, 0
	return true
}

func (m *guest) lagged() bool {
	r := m.sub.Room()
	if r.Class().Lag == LagClose {
		return false
	}
	from, to, tail := m.node.GapAt(r, m.at)
	m.client.lag(from, to)
	m.at = tail
	if r.pattern.Keyframed {
		_, ok := r.Keyframe()
		m.sift.Have, m.await = nil, !ok
	}
	return true
}

// send takes the pieces apart, now and then after what a kernel took of them.
func (m *guest) send(pieces []Piece, exact bool) {
	for _, p := range pieces {
		b := p.Bytes
		for len(b) > 0 {
			n := wire.FrameLen(b)
			m.client.take(plainly(m.node.tb, b[:n]), exact)
			b = b[n:]
		}
	}
}

// wanted is the keys of the client's filter.
func (c *client) wanted() (list []string) {
	for k := range c.keys {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
