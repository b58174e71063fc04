package rooms_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"tapecast/rooms"
)

// The model: two topics as plain lists of records, two nodes that read them at their
// own pace, and members that come and go, stall, resume on either node, and check
// every frame and position that they are given against the lists. What a node does is
// driven step by step, as its ingest and its loops would drive it (model_node_test.go,
// model_member_test.go); what a client may see is said in plain words (model_client_test.go).

const modelParts = 3

// world is all that is true.
type world struct {
	t      *rapid.T
	topics [2]*topicModel // of last values, which nodes read from the beginning; of events
	epochs [2][]*topicModel
	nodes  [2]*node
	all    []*guest
	idle   []*client // who have left, and may come back
	rooms  []string  // its records are for these
	ending bool      // nothing gets in the way any more
}

// topicModel is one topic.
type topicModel struct {
	epoch string
	logs  [modelParts][]entry
	begin [modelParts]int64 // what is before has been deleted
}

// entry is one record. Its offset is its index in the list.
type entry struct {
	room, key string // room "": of none
	value     string // "": a tombstone
	keyframe  bool
}

// roomsModel is every room, with the topic that feeds it.
var roomsModel = []struct {
	name  string
	topic int
}{{"values", 0}, {"small", 0}, {"states", 0}, {"ticks", 1}, {"alerts", 1}, {"books", 1}, {"own:1", 1}, {"own:2", 1}}

func topicOf(room string) int {
	for _, r := range roomsModel {
		if r.name == room {
			return r.topic
		}
	}
	panic("BUG: no room " + room)
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, topics: [2]*topicModel{{epoch: "e0"}, {epoch: "e0"}}}
	for i, topic := range w.topics {
		w.epochs[i] = []*topicModel{topic}
	}
	for range 3 {
		w.rooms = append(w.rooms, roomsModel[w.draw(len(roomsModel), "room")].name)
	}
	for i := range w.nodes {
		w.nodes[i] = newNode(w)
	}
	return w
}

// actions is what may happen, each drawn as often as it stands there.
func (w *world) actions() map[string]func(*rapid.T) {
	do := func(f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			w.t = t
			for _, n := range w.nodes {
				n.tb.T = t
			}
			modelSteps.Add(1)
			f()
		}
	}
	return map[string]func(*rapid.T){
		"produce": do(w.produce), "produce more": do(w.produce),
		"read": do(w.read), "read more": do(w.read), "read on": do(w.read),
		"visit": do(w.visit), "visit another": do(w.visit), "visit a third": do(w.visit), "visit a fourth": do(w.visit),
		"join": do(w.join), "resume": do(w.resume), "resume another": do(w.resume),
		"leave": do(w.leave), "cut": do(w.cut), "ping": do(w.ping),
		"set back": do(w.setBack), "pass": do(w.pass), "restart": do(w.restart), "lose": do(w.lose),
		"create again": do(w.recreate),
		"press":        do(w.press),
	}
}

func (w *world) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.t, what) }

func (w *world) chance(oneIn int, what string) bool { return w.draw(oneIn, what) == 0 }

// produce appends some records to a topic.
func (w *world) produce() {
	for range 1 + w.draw(30, "records") {
		e := entry{room: w.room()}
		topic := w.topics[topicOf(e.room)]
		if w.chance(8, "none") {
			e.room = ""
		}
		e.key = fmt.Sprint("k", w.draw(10, "key"))
		part := partOf(e.key)
		if off := len(topic.logs[part]); !w.chance(8, "tombstone") {
			e.value = fmt.Sprintf(`"%d:%d %0*d"`, part, off, 1+w.draw(500, "size"), 0)
		}
		e.keyframe = e.room == "books" && w.chance(5, "keyframe")
		w.t.Logf("%d:%d of %s is %q of %q, keyframe %v", part, len(topic.logs[part]), topic.epoch,
			e.key, e.room, e.keyframe)
		topic.logs[part] = append(topic.logs[part], e)
	}
}

func (w *world) room() string { return w.rooms[w.draw(len(w.rooms), "room")] }

// partOf is the one partition that a key's records are in.
func partOf(key string) int { return int(key[1]-'0') % modelParts }

func (w *world) node() *node { return w.nodes[w.draw(len(w.nodes), "node")] }

// read has a node take in what it has not read.
func (w *world) read() {
	n, topic := w.node(), w.draw(2, "topic")
	n.read(topic, w.draw(modelParts, "partition"), 1+w.draw(12, "records"))
}

// setBack has a node read again what it has read, as after a consumer's failure.
func (w *world) setBack() {
	w.node().again(w.draw(2, "topic"), w.draw(modelParts, "partition"), 1+w.draw(5, "records"))
}

func (w *world) visit() {
	if len(w.all) > 0 {
		m := w.all[w.draw(len(w.all), "member")]
		for range 1 + w.draw(3, "visits") {
			if !m.visit(1 + w.draw(4000, "bytes")) {
				w.gone(m)
				return
			}
		}
	}
}

func (w *world) newClient() *client {
	room := w.room()
	c := &client{w: w, room: room, topic: w.topics[topicOf(room)], deflated: w.chance(2, "deflated")}
	c.begin()
	if room != "books" && w.chance(3, "filtered") {
		c.keys = map[string]bool{}
		for range 1 + w.draw(3, "keys") {
			c.keys[fmt.Sprint("k", w.draw(10, "key"))] = true
		}
	}
	return c
}

func (w *world) join() {
	if len(w.all) < 12 {
		w.enter(w.newClient(), w.node(), nil)
	}
}

// resume brings somebody back to either node.
func (w *world) resume() {
	if len(w.idle) == 0 {
		return
	}
	i := w.draw(len(w.idle), "who")
	c := w.idle[i]
	w.idle = slices.Delete(w.idle, i, i+1)
	w.enter(c, w.node(), c.since())
}

func (w *world) enter(c *client, n *node, since *rooms.Positions) {
	w.t.Logf("%s joins at node %d, since %v, keys %v", c.room, slices.Index(w.nodes[:], n), since, c.wanted())
	if m := n.join(c, since); m != nil {
		w.all = append(w.all, m)
	}
}

// gone is for a member whose connection has ended.
func (w *world) gone(m *guest) {
	w.t.Logf("%s ends, having seen %v", m.room, m.client.at)
	m.stand()
	w.all = slices.DeleteFunc(w.all, func(x *guest) bool { return x == m })
	if w.idle = append(w.idle, m.client); len(w.idle) > 8 {
		w.idle = w.idle[1:]
	}
}

// leave takes the position that the node tells, cut does not.
func (w *world) leave() {
	if len(w.all) > 0 {
		m := w.all[w.draw(len(w.all), "member")]
		m.rest()
		m.client.told(m.positions(), m.level())
		w.gone(m)
	}
}

func (w *world) cut() {
	if len(w.all) > 0 {
		w.gone(w.all[w.draw(len(w.all), "member")])
	}
}

// ping tells a member where it stands, as a ping does in a room that is quiet.
func (w *world) ping() {
	if len(w.all) > 0 {
		if m := w.all[w.draw(len(w.all), "member")]; m.level() {
			m.client.told(m.positions(), true)
		}
	}
}

// pass lets time go by, and retention look.
func (w *world) pass() {
	n := w.node()
	w.t.Logf("time passes at node %d", slices.Index(w.nodes[:], n))
	n.Pass(time.Duration(1+w.draw(6, "seconds")) * time.Second)
	if w.chance(20, "long") {
		n.Pass(time.Duration(1+w.draw(120, "seconds")) * time.Second)
	}
	n.sweep()
}

// restart makes a node again: its clients are cut.
func (w *world) restart() {
	if !w.chance(4, "really") {
		return
	}
	i := w.draw(len(w.nodes), "node")
	for _, m := range slices.Clone(w.all) {
		if m.node == w.nodes[i] {
			w.gone(m)
		}
	}
	w.t.Logf("node %d is restarted", i)
	w.nodes[i] = newNode(w)
}

// lose has a node hear that some of the records ahead are gone.
func (w *world) lose() {
	if w.chance(4, "really") {
		w.node().lose(w.draw(2, "topic"), w.draw(modelParts, "partition"), 1+w.draw(4, "records"))
	}
}

// recreate gives a topic another epoch. What nobody has read of the old one is lost.
func (w *world) recreate() {
	if !w.chance(10, "really") {
		return
	}
	i := w.draw(2, "topic")
	w.topics[i] = &topicModel{epoch: fmt.Sprint("e", len(w.epochs[i]))}
	w.epochs[i] = append(w.epochs[i], w.topics[i])
	w.t.Logf("topic %d is created again", i)
	for _, n := range w.nodes {
		n.reset(i)
	}
}

// check is what must hold after each step.
func (w *world) check(t *rapid.T) {
	for _, m := range w.all {
		if m.level() {
			m.client.level(m.node)
		}
	}
	for _, n := range w.nodes {
		n.Check()
	}
}

// end brings everybody up to date.
func (w *world) end() {
	w.ending = true
	for _, n := range w.nodes {
		n.Pass(2 * time.Second) // members that were told to ask later do so
		for topic := range w.topics {
			for part := range modelParts {
				n.read(topic, part, 1<<30)
			}
		}
	}
	for _, m := range slices.Clone(w.all) {
		for range 10_000 {
			if m.level() {
				break
			}
			if !m.visit(1 << 20) {
				w.gone(m)
				break
			}
		}
		if slices.Contains(w.all, m) && !m.level() && !m.awaits() {
			w.t.Fatalf("a member of %s does not get level: %d of %d", m.client.room, m.m.At(), m.sub.Room().Head())
		}
	}
	w.check(w.t)
}
