package rooms_test

import (
	"errors"
	"slices"
	"strings"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/wire"
)

// guest is a client on a node. It drives its member as an event loop does, with a connection
// that takes what it likes.
type guest struct {
	*client
	node *node
	sub  *rooms.Sub
	m    member.Member
	x    *member.Extra

	closed  bool
	began   *topicModel       // when its snapshot has begun and it is not told yet
	walking bool              // what it was sent last were the newest frames of keys
	upon    [modelParts]int64 // where the node was then

	half  []byte // of a frame that is half sent
	exact bool   // that frame is the next one, else the newest of its key

	since *rooms.Positions // it has asked for another seam there; nil: it has not
	given *rooms.Member    // that it was given
	ask   *rooms.Recall    // it has asked for old records; nil: it has not
	past  *rooms.Past      // that it was given last
}

// join makes the client a member, at since where that is not nil; nil: it was refused.
func (n *node) join(c *client, since *rooms.Positions) *guest {
	if since == nil {
		c.begin()
	}
	given := n.joinRoom(c.room, since)
	class := given.Pattern.Class
	c.moved = c.moved || c.at0 != n
	c.at0 = n
	if errors.As(given.TooOld, new(*rooms.NotNowError)) { // the client keeps its position
		n.Left(given.Sub)
		return nil
	}
	if given.TooOld != nil && !class.Snapshot {
		c.refused(given.TooOld.(*rooms.TooOldError))
		n.Left(given.Sub)
		return nil
	}
	w := member.Wish{Await: given.Await, Resume: given.Resume}
	if c.keys != nil {
		w.Keys = c.wanted()
	}
	w.Snapshot = class.Snapshot && (given.TooOld != nil || since == nil && given.Keys > 0)
	if how := given.Resume; how != nil {
		w.Epoch = since.Epoch
		if how.Recall {
			past, err := n.w.recall(c.room, how.After(), how.UpTo)
			if how.Lost != "" {
				err = &rooms.TooOldError{Why: how.Lost}
			}
			switch {
			case err != nil && class.Snapshot:
				w.Resume, w.Snapshot = nil, true
			case err != nil:
				c.refused(err)
				n.Left(given.Sub)
				return nil
			case !how.Walk:
				w.Past = past
			}
		}
	}
	g := &guest{client: c, node: n, sub: given.Sub, past: w.Past, walking: w.Resume != nil && w.Resume.Walk}
	coding := rooms.Plain
	if c.deflated && class.Deflate {
		coding = rooms.Deflated
	}
	if g.m = member.New(given.Sub, given.At, coding); coding != rooms.Plain {
		given.Sub.Room().Take(coding, 1)
	}
	g.x = n.rules.Begin(&g.m, g, &w)
	switch {
	case w.Snapshot:
		g.began = n.w.topics[topicOf(c.room)]
	case w.Resume != nil:
		c.resumed(given.Positions)
	default:
		c.joined(given.Positions, n)
	}
	return g
}

// joinRoom joins the room, and returns the answer.
func (n *node) joinRoom(room string, since *rooms.Positions) *rooms.Member {
	p, _, _ := n.Catalog().Resolve(room)
	asked := []rooms.Member{{Name: room, Pattern: p, Since: since}}
	given := &n.Ask(n.l, &rooms.Join{Rooms: asked, Done: func(*rooms.Join) {}})[0]
	if given.Err != nil {
		n.tb.Fatalf("cannot join %s: %v", room, given.Err)
	}
	return given
}

// recall reads again what the tapes do not have, and as an ingest that keeps what it has
// read for others, a little more.
func (w *world) recall(room string, after, upTo []rooms.Pos) (*rooms.Past, *rooms.TooOldError) {
	topic := w.topics[topicOf(room)]
	var list []rooms.Record
	for part := range modelParts {
		from, to := offsetOf(after, part), offsetOf(upTo, part)
		if from < topic.begin[part]-1 || from >= int64(len(topic.logs[part])) {
			return nil, &rooms.TooOldError{}
		}
		for off := max(from-2, topic.begin[part]); off < min(to+4, int64(len(topic.logs[part]))); off++ {
			if e := topic.logs[part][off]; e.room == room {
				r := rooms.Record{Room: []byte(room), Type: "t", Key: []byte(e.key), HasKey: true,
					Partition: int32(part), Offset: off, Time: 1}
				if e.value != "" {
					r.Value = []byte(e.value)
				}
				list = append(list, r)
			}
		}
	}
	p, _, _ := w.nodes[0].Catalog().Resolve(room)
	past := rooms.NewPast(p, room, list, nil)
	if !w.ending && w.chance(4, "part") { // the rest is asked for when that was sent
		upTo = slices.Clone(upTo)
		for i := range upTo {
			from := offsetOf(after, int(upTo[i].Partition))
			upTo[i].Offset = from + int64(w.draw(int(max(upTo[i].Offset-from, 0))+1, "up to"))
		}
		past = past.Share(upTo, nil)
	}
	return past, nil
}

func offsetOf(list []rooms.Pos, part int) int64 {
	for _, p := range list {
		if p.Partition == int32(part) {
			return p.Offset
		}
	}
	return -1
}

// level reports whether the client has been sent all there is.
func (g *guest) level() bool {
	return len(g.half) == 0 && g.m.At() == g.m.Room().Head() && (g.x == nil || !g.x.Lacks() && !g.x.Walks())
}

// awaits reports whether the member awaits a book, so that it never gets level.
func (g *guest) awaits() bool { return g.room == "books" && g.x != nil && g.x.Lacks() }

func (g *guest) positions() rooms.Positions { return g.node.rules.Position(&g.m, g.x) }

// stand gives up the membership.
func (g *guest) stand() {
	g.node.rules.End(g.x)
	if how := g.m.Coding(); how != rooms.Plain {
		g.m.Room().Take(how, -1)
	}
	g.node.Left(g.sub)
	if g.snapping {
		g.located, g.snapping = false, false
	}
}

// visit sends the member some of what it lacks; false: its connection is closed.
func (g *guest) visit(budget int) bool {
	r := g.m.Room()
	g.w.t.Logf("%s is at %d, its room has %d to %d", g.room, g.m.At(), r.Tail(), r.Head())
	g.rest()
	if g.answered() {
		return !g.closed
	}
	if g.past != nil && !g.w.ending && g.w.chance(6, "take back") {
		g.x.TakeBack(g.past)
	}
	pieces, cut := g.node.rules.Next(&g.m, g.x, g, budget, nil)
	if g.closed {
		return false
	}
	g.x = cut.Extra
	if g.walking && !cut.Newest() && (g.x == nil || !g.x.Walks()) {
		g.walked()
	}
	if g.x == nil || !g.x.Walks() || cut.Newest() {
		g.began = nil
	} else if g.began == nil { // perhaps, since what it knew was lost
		g.began = g.w.topics[topicOf(g.room)]
	}
	if cut.Newest() {
		g.walking = true
		g.client.walks(g.node)
		g.upon = g.node.next[topicOf(g.room)]
	}
	g.send(pieces, &cut)
	return true
}

func (g *guest) walked() {
	if g.walking {
		g.client.walked(g.upon)
	}
	g.walking = false
}

// answered takes the answer to what the member has asked for; false: it has not.
func (g *guest) answered() bool {
	switch {
	case g.ask != nil:
		ask := g.ask
		g.ask = nil
		if !g.w.ending && g.w.chance(4, "not now") {
			err := &rooms.NotNowError{Why: "chance", RetryAfter: time.Second}
			g.node.rules.Rejoined(&g.m, g.x, g.given, nil, true, err)
			return true
		}
		past, tooOld := (*rooms.Past)(nil), &rooms.TooOldError{}
		if ask.Epoch == g.w.topics[topicOf(g.room)].epoch { // it may have been made again meanwhile
			past, tooOld = g.w.recall(g.room, ask.After, ask.UpTo)
		}
		var err error
		if tooOld != nil {
			err = tooOld
		}
		g.past = past
		g.node.rules.Rejoined(&g.m, g.x, g.given, past, true, err)
	case g.since != nil:
		given := g.node.joinRoom(g.room, g.since)
		g.node.Left(given.Sub)
		g.since = nil
		g.node.rules.Rejoined(&g.m, g.x, given, nil, false, nil)
	default:
		return false
	}
	return true
}

// send has the kernel take some of the pieces.
func (g *guest) send(pieces []rooms.Piece, cut *member.Cut) {
	room := 1 << 30
	if !g.w.ending && len(pieces) > 0 && g.w.chance(4, "full") {
		room = g.w.draw(2000, "room")
	}
	for i := range pieces {
		p := &pieces[i]
		n := min(room, len(p.Bytes))
		if room -= n; n == 0 {
			return
		}
		_, rest := g.node.rules.Sent(&g.m, cut, p, i == len(pieces)-1, n)
		g.exact = !cut.Newest()
		g.half = append(g.half, p.Bytes[:n]...)
		if len(rest) == 0 {
			g.rest()
			continue
		}
		g.half = append(g.half, rest...)
		for whole := g.half; ; { // all but the last; the kernel took a part of that one
			size := wire.FrameLen(whole)
			if size == len(whole) {
				g.half = whole
				return
			}
			g.take(whole[:size])
			whole = whole[size:]
		}
	}
}

// rest has the kernel take what is left of a frame that was half sent.
func (g *guest) rest() {
	b := g.half
	for g.half = nil; len(b) > 0; {
		n := wire.FrameLen(b)
		g.take(b[:n])
		b = b[n:]
	}
}

func (g *guest) take(frame []byte) { g.client.take(rooms.Plainly(g.node.tb, frame), g.exact) }

// Tell has the client hear of something before its next frame, or, where the outbox is full,
// not yet.
func (g *guest) Tell(frame []byte) bool {
	if !g.w.ending && g.w.chance(5, "outbox") {
		return false
	}
	text := rooms.Plainly(g.node.tb, frame)
	g.w.t.Logf("%s is told %.150s", g.room, text)
	_, method, _ := strings.Cut(text, `"method":"`)
	method, _, _ = strings.Cut(method, `"`)
	switch method {
	case "gap":
		g.client.lag(g.gapText(text))
	case "snapshot_begin":
		if g.began == nil { // in this very visit
			g.began = g.w.topics[topicOf(g.room)]
		}
		g.client.snapshotBegins(g.node, g.began)
		g.began = nil
	case "snapshot_end":
		_, at, _ := strings.Cut(text, `"positions":`)
		at, _, _ = strings.Cut(at, "}")
		g.client.snapshotEnds(positionsText(at))
		g.walked()
		g.began = nil // it was set while this could not be told
	case "conflated":
	default:
		g.client.fatal("told %s", text)
	}
	return true
}

// TooSlow closes the connection.
func (g *guest) TooSlow(*rooms.Room) { g.closed = true }

// Rejoin asks for another seam. The node goes on before it is given.
func (g *guest) Rejoin(_ *member.Extra, _ *rooms.Room, since rooms.Positions) { g.since = &since }

// Recall asks for old records.
func (g *guest) Recall(_ *member.Extra, given *rooms.Member, ask *rooms.Recall) {
	g.given, g.ask = given, ask
}

// Walked and Wake are for loops: each member of the model is looked at again.
func (g *guest) Walked(*rooms.Room, int64) {}

// Places: the model takes positions from the gateway's tables, and is told none.
func (g *guest) Places() bool { return false }

// Wake does nothing.
func (g *guest) Wake() {}

// wanted is the keys of the client's filter.
func (c *client) wanted() (list []string) {
	for k := range c.keys {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
