package rooms

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
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
	*manual
	w       *world
	tb      *rapidTB
	l       *Listener
	feeds   [2]*Feed
	next    [2][modelParts]int64           // the first offset that it has not read
	first   [2][modelParts]int64           // where it began, or went on after a loss
	view    map[string]map[string]*holding // by room and key: the newest values
	dropped map[string]bool                // by room and key: what has gone without a tombstone, which no other node knows
	evicted map[string]map[string]*holding // by room and key: the newest values for which there was no memory
	order   int
}

// holding is the newest value of a key, as a node has it.
type holding struct {
	off   int64
	part  int
	at    int64 // when it was written, by the node's clock
	order int
}

const (
	modelTTL  = 90 * time.Second
	modelKeys = 6 // of room small
)

func newNode(w *world) *node {
	n := &node{w: w, tb: &rapidTB{T: w.t}, view: map[string]map[string]*holding{}, dropped: map[string]bool{}}
	n.evicted = map[string]map[string]*holding{}
	for i, topic := range w.topics {
		n.feeds[i] = NewFeed("topic")
		n.feeds[i].Open(topic.epoch, modelParts)
	}
	age := 8 * time.Second
	values := &Class{Name: "values", Conflate: true, Snapshot: true, ConflateBytes: 3 << 10, RetainBytes: 8 << 10, RetainAge: age, KeyTTL: modelTTL, Deflate: true}
	small := &Class{Name: "small", Conflate: true, Snapshot: true, ConflateBytes: 3 << 10, RetainBytes: 8 << 10, RetainAge: age, KeyTTL: modelTTL, MaxKeys: modelKeys}
	states := &Class{Name: "states", Snapshot: true, RetainBytes: 16 << 10, RetainAge: age, KeyTTL: modelTTL}
	ticks := &Class{Name: "ticks", RetainBytes: 8 << 10, RetainAge: age, Deflate: true}
	alerts := &Class{Name: "alerts", Lag: LagClose, Keep: true, RetainBytes: 8 << 10, RetainAge: age}
	books := &Class{Name: "books", ConflateBytes: 4 << 10, RetainBytes: 8 << 10, RetainAge: age}
	own := &Class{Name: "own", Owner: "{sub}", Lag: LagClose, RetainBytes: 8 << 10, RetainAge: age}
	n.manual = newManual(n.tb, Config{Budget: 60 << 10, Shards: 1},
		&Pattern{Match: "values", Class: values, Feed: n.feeds[0]},
		&Pattern{Match: "small", Class: small, Feed: n.feeds[0]},
		&Pattern{Match: "states", Class: states, Feed: n.feeds[0]},
		&Pattern{Match: "ticks", Class: ticks, Feed: n.feeds[1]},
		&Pattern{Match: "alerts", Class: alerts, Feed: n.feeds[1]},
		&Pattern{Match: "books", Class: books, Feed: n.feeds[1], Keyframed: true},
		&Pattern{Match: "own:{owner}", Class: own, Feed: n.feeds[1]},
	)
	n.l = n.listen()
	// Last values are read from the beginning, events from the end on.
	for part := range modelParts {
		n.next[1][part] = int64(len(w.topics[1].logs[part]))
		n.first[1][part] = n.next[1][part]
		n.batch.Progress(n.feeds[1], int32(part), n.next[1][part]-1)
		n.batch.Progress(n.feeds[0], int32(part), -1)
	}
	n.send()
	for part := range modelParts {
		n.read(0, part, 1<<30)
	}
	return n
}

// pass lets time pass for the node.
func (n *node) pass(d time.Duration) {
	n.manual.pass(d)
	n.began = time.Now().Add(-time.Duration(n.shards[0].now) * time.Millisecond)
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
			if k := n.classOf(e.room); k.remembers() {
				n.hold(e, part, off, k)
			}
		}
	}
	n.batch.Progress(n.feeds[topic], int32(part), to-1)
	n.next[topic][part] = to
	n.send()
	n.take()
}

func (n *node) classOf(room string) *Class {
	p, _, _ := n.cfg.Catalog.Resolve(room)
	return p.Class
}

func (n *node) add(e entry, part int, off int64) {
	p, _, _ := n.cfg.Catalog.Resolve(e.room)
	rec := &Record{Pattern: p, Room: []byte(e.room), Type: "t", Key: []byte(e.key), HasKey: true, Partition: int32(part), Offset: off, Time: 1, Keyframe: e.keyframe}
	if e.value != "" {
		rec.Value = []byte(e.value)
	}
	n.batch.Add(rec)
}

// again reads the last records of a partition once more.
func (n *node) again(topic, part, count int) {
	to := n.next[topic][part]
	for off := max(0, to-int64(count), n.first[topic][part]); off < to; off++ {
		if e := n.w.topics[topic].logs[part][off]; e.room != "" {
			n.add(e, part, off)
		}
	}
	n.send()
	n.take()
}

// reached is the first offset of the key's partition that the node has not read.
func (n *node) reached(key, room string) int64 { return n.next[topicOf(room)][partOf(key)] }

// hold is what a record does to the newest values.
func (n *node) hold(e entry, part int, off int64, k *Class) {
	held := n.view[e.room]
	if held == nil {
		held = map[string]*holding{}
		n.view[e.room] = held
	}
	n.order++
	delete(n.dropped, e.room+e.key)
	delete(n.evicted[e.room], e.key)
	if e.value == "" {
		delete(held, e.key)
	} else {
		held[e.key] = &holding{off, part, n.shards[0].now, n.order}
	}
	if len(held) > k.maxKeys() {
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
	n.manual.sweep()
	for room, held := range n.view {
		for key, h := range held {
			if n.shards[0].now-h.at > modelTTL.Milliseconds() {
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
		n.batch.Gap(n.feeds[topic], int32(part), from-1, to-1)
		n.batch.Progress(n.feeds[topic], int32(part), to-1)
		n.next[topic][part], n.first[topic][part] = to, to
		n.w.topics[topic].begin[part] = max(n.w.topics[topic].begin[part], to)
		n.send()
		n.take()
	}
}

func (n *node) reset(topic int) {
	n.batch.Reset(n.feeds[topic], n.w.topics[topic].epoch, modelParts)
	n.next[topic], n.first[topic] = [modelParts]int64{}, [modelParts]int64{}
	n.send()
	n.take()
	for _, r := range roomsModel {
		if r.topic == topic {
			delete(n.view, r.name)
			delete(n.evicted, r.name)
		}
	}
}

// take takes in what the listener was told. A member that was not told of frames and
// is not looked at any more would stall for ever.
func (n *node) take() {
	for _, s := range n.told {
		s.Take()
		if s.Local != nil {
			*s.Local.(*bool) = true
		}
	}
	n.told = n.told[:0]
}
