package rooms_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// rapidTB has what tables report to a test go to rapid, which then looks for the
// shortest way to it.
type rapidTB struct {
	testing.TB
	T *rapid.T
}

func (t *rapidTB) Helper()                      {}
func (t *rapidTB) Errorf(f string, args ...any) { t.T.Fatalf(f, args...) }
func (t *rapidTB) Fatalf(f string, args ...any) { t.T.Fatalf(f, args...) }
func (t *rapidTB) Error(args ...any)            { t.T.Fatal(args...) }
func (t *rapidTB) Fatal(args ...any)            { t.T.Fatal(args...) }

// node is a table, and what it has been given.
type node struct {
	*rooms.Stepped
	rules  member.Rules
	counts member.Counts
	w      *world
	tb     *rapidTB
	l      *rooms.Listener
	feeds  [2]*rooms.Feed
	next   [2][modelParts]int64           // the first offset that it has not read
	first  [2][modelParts]int64           // where it began, or went on after a loss
	newest map[string]map[string]*holding // by room and key: the newest values
	// by room and key: what has gone without a tombstone, which no other node knows
	dropped map[string]bool
	evicted map[string]map[string]*holding // by room and key: the newest values for which there was no memory
	order   int
}

// holding is the newest value of a key, as a node has it.
type holding struct {
	off   int64
	part  int
	at    time.Duration // when it was written, by the node's clock
	order int
}

const (
	modelTTL  = 90 * time.Second
	modelKeys = 6 // of room small
)

func newNode(w *world) *node {
	n := &node{w: w, tb: &rapidTB{T: w.t}, newest: map[string]map[string]*holding{}, dropped: map[string]bool{}}
	n.evicted = map[string]map[string]*holding{}
	for i, topic := range w.topics {
		n.feeds[i] = rooms.NewFeed("topic")
		n.feeds[i].Open(topic.epoch, modelParts)
	}
	age := 8 * time.Second
	values := &rooms.Class{Name: "values", Conflate: true, Snapshot: true, ConflateBytes: 3 << 10, RetainBytes: 8 << 10,
		RetainAge: age, KeyTTL: modelTTL, Deflate: true}
	small := &rooms.Class{Name: "small", Conflate: true, Snapshot: true, ConflateBytes: 3 << 10, RetainBytes: 8 << 10,
		RetainAge: age, KeyTTL: modelTTL, MaxKeys: modelKeys}
	states := &rooms.Class{Name: "states", Snapshot: true, RetainBytes: 16 << 10, RetainAge: age, KeyTTL: modelTTL}
	ticks := &rooms.Class{Name: "ticks", RetainBytes: 8 << 10, RetainAge: age, Deflate: true}
	alerts := &rooms.Class{Name: "alerts", Lag: rooms.LagClose, Keep: true, RetainBytes: 8 << 10, RetainAge: age}
	books := &rooms.Class{Name: "books", ConflateBytes: 4 << 10, RetainBytes: 8 << 10, RetainAge: age}
	own := &rooms.Class{Name: "own", Owner: "{sub}", Lag: rooms.LagClose, RetainBytes: 8 << 10, RetainAge: age}
	n.Stepped = rooms.NewStepped(n.tb, rooms.Config{Budget: 60 << 10},
		&rooms.Pattern{Match: "values", Class: values, Feed: n.feeds[0]},
		&rooms.Pattern{Match: "small", Class: small, Feed: n.feeds[0]},
		&rooms.Pattern{Match: "states", Class: states, Feed: n.feeds[0]},
		&rooms.Pattern{Match: "ticks", Class: ticks, Feed: n.feeds[1]},
		&rooms.Pattern{Match: "alerts", Class: alerts, Feed: n.feeds[1]},
		&rooms.Pattern{Match: "books", Class: books, Feed: n.feeds[1], Keyframed: true},
		&rooms.Pattern{Match: "own:{owner}", Class: own, Feed: n.feeds[1]},
	)
	n.l = n.Hear()
	n.rules = member.Rules{Table: n.Table, Now: n.Clock, Recalls: true, Counts: &n.counts}
	// Last values are read from the beginning, events from the end on.
	for part := range modelParts {
		n.next[1][part] = int64(len(w.topics[1].logs[part]))
		n.first[1][part] = n.next[1][part]
		n.Batch.Progress(n.feeds[1], int32(part), n.next[1][part]-1)
		n.Batch.Progress(n.feeds[0], int32(part), -1)
	}
	n.Send()
	for part := range modelParts {
		n.read(0, part, 1<<30)
	}
	return n
}

// read takes in so many records of a partition, as one batch.
func (n *node) read(topic, part, count int) {
	log, from := n.w.topics[topic].logs[part], n.next[topic][part]
	to := min(int64(len(log)), from+int64(count))
	if from >= to {
		return
	}
	n.w.t.Logf("node %d reads %d:%d to %d of topic %d", slices.Index(n.w.nodes[:], n), part, from, to-1, topic)
	twice := int64(-1) // the consumer is set back before the batch is sent
	if n.w.chance(8, "set back") {
		twice = from + int64(n.w.draw(int(to-from), "from"))
	}
	for off := from; off < to; off++ {
		if e := log[off]; e.room != "" {
			n.add(e, part, off)
			if off == twice {
				n.add(e, part, off)
			}
			if remembers(e.room) {
				n.hold(e, part, off)
			}
		}
	}
	n.Batch.Progress(n.feeds[topic], int32(part), to-1)
	n.next[topic][part] = to
	n.Send()
	n.take()
}

func (n *node) add(e entry, part int, off int64) {
	p, _, _ := n.Catalog().Resolve(e.room)
	rec := &rooms.Record{Pattern: p, Room: []byte(e.room), Type: "t", Key: []byte(e.key), HasKey: true,
		Partition: int32(part), Offset: off, Time: 1, Keyframe: e.keyframe}
	if e.value != "" {
		rec.Value = []byte(e.value)
	}
	n.Batch.Add(rec)
}

// again reads the last records of a partition once more.
func (n *node) again(topic, part, count int) {
	to := n.next[topic][part]
	for off := max(0, to-int64(count), n.first[topic][part]); off < to; off++ {
		if e := n.w.topics[topic].logs[part][off]; e.room != "" {
			n.add(e, part, off)
		}
	}
	n.Send()
	n.take()
}

// reached is the first offset of the key's partition that the node has not read.
func (n *node) reached(key, room string) int64 { return n.next[topicOf(room)][partOf(key)] }

// hold is what a record does to the newest values.
func (n *node) hold(e entry, part int, off int64) {
	held := n.newest[e.room]
	if held == nil {
		held = map[string]*holding{}
		n.newest[e.room] = held
	}
	n.order++
	delete(n.dropped, e.room+e.key)
	delete(n.evicted[e.room], e.key)
	if e.value == "" {
		delete(held, e.key)
	} else {
		held[e.key] = &holding{off, part, n.Clock(), n.order}
	}
	if e.room == "small" && len(held) > modelKeys {
		oldest := ""
		for key, h := range held {
			if oldest == "" || h.order < held[oldest].order {
				oldest = key
			}
		}
		delete(held, oldest)
		n.dropped[e.room+oldest] = true
	}
}

// sweep has retention look at everything.
func (n *node) sweep() {
	n.Sweep()
	for room, held := range n.newest {
		for key, h := range held {
			if n.Clock()-h.at > modelTTL {
				delete(held, key)
				n.dropped[room+key] = true
			}
		}
	}
	n.take()
}

// lose tells the node that the next records of a partition are gone.
func (n *node) lose(topic, part, count int) {
	from := n.next[topic][part]
	to := min(int64(len(n.w.topics[topic].logs[part])), from+int64(count))
	if from < to {
		n.w.t.Logf("a node loses %d:%d to %d", part, from, to-1)
		n.Batch.Gap(n.feeds[topic], int32(part), from-1, to-1)
		n.Batch.Progress(n.feeds[topic], int32(part), to-1)
		n.next[topic][part], n.first[topic][part] = to, to
		n.w.topics[topic].begin[part] = max(n.w.topics[topic].begin[part], to)
		n.Send()
		n.take()
	}
}

func (n *node) reset(topic int) {
	n.Batch.Reset(n.feeds[topic], n.w.topics[topic].epoch, modelParts)
	n.next[topic], n.first[topic] = [modelParts]int64{}, [modelParts]int64{}
	n.Send()
	n.take()
	for _, r := range roomsModel {
		if r.topic == topic {
			delete(n.newest, r.name)
			delete(n.evicted, r.name)
		}
	}
}

// take takes in what the listener was told.
func (n *node) take() {
	for _, s := range n.Told() {
		s.Take()
	}
}
