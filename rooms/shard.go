package rooms

import (
	"fmt"
	"sync/atomic"
	"time"

	"tapecast/rooms/heartbeat"
	"tapecast/rooms/survey"
	"tapecast/rooms/wire"
)

// shard is a part of the room table and its appender: one goroutine, which alone writes the shard's
// tapes, creates its rooms and answers joins.
type shard struct {
	table *Table
	index int
	box   *mailbox
	slots chan struct{} // one for each part that may wait: consumers cannot run further ahead
	quit  chan struct{}

	stopped   chan struct{} // closed when the appender has ended
	heartbeat heartbeat.Counter

	// feeds holds which part of each feed is on the shard's tapes. The appender stores it after it
	// has published. Any goroutine may read it.
	feeds []atomic.Pointer[feedState]
	// levels holds, by feed, the positions of the state that a member last needed.
	levels []atomic.Pointer[level]

	stats shardStats

	// The appender's own.
	rooms    index
	owned    []*Room // those with a tape of their own
	journals map[*Class]*Tape
	touched  []*Room // written, not yet published
	told     [][]*Sub
	tellers  []*Listener
	begun    []*chunk                // not yet dated
	marks    []*item                 // progress to store once everything is published
	moving   []*feedState            // by feed: what progress is about to store
	lost     [][]Pos                 // by feed and partition: the last record that was lost before it came here
	went     map[*Pattern]*feedState // latest.went of removed rooms
	scratch  []byte
	deflater Deflater
	now      int64                             // by the table's clock
	swept    int                               // next bucket to be swept
	watches  map[*Pattern]map[string]*watchSet // by prefix
	shedNext int64                             // when shed looks again after it could not shed enough
	evicting eviction
	topRooms survey.Survey[[]RoomInfo] // any goroutine may ask
	payer    map[*Room]string          // the user who pays for a public room without a record
	partial  map[*Pattern]int64        // latest.partial of removed rooms
	passed   [][]int64                 // by watchIndex and partition: the last record whose room may not be here
	begins   [][]int64                 // by feed and partition: where reading began
}

// maxParts is how many parts may wait for an appender. With 256 records each that is a few
// milliseconds of its time.
const maxParts = 64

// maxKept is for how many requests a mailbox keeps its memory.
const maxKept = 4096

func newShard(t *Table, i, feeds int) *shard {
	return &shard{
		table: t, index: i, box: newMailbox(),
		heartbeat: heartbeat.Counter{Name: fmt.Sprintf("appender %d", i)},
		slots:     make(chan struct{}, maxParts),
		quit:      make(chan struct{}),
		stopped:   make(chan struct{}),
		feeds:     make([]atomic.Pointer[feedState], feeds),
		levels:    make([]atomic.Pointer[level], feeds),
		moving:    make([]*feedState, feeds),
		lost:      make([][]Pos, feeds),
		passed:    make([][]int64, len(t.cfg.Catalog.patterns)),
		begins:    make([][]int64, feeds),
		went:      map[*Pattern]*feedState{},
		partial:   map[*Pattern]int64{},
		payer:     map[*Room]string{},
		rooms:     newIndex(),
		journals:  map[*Class]*Tape{},
		watches:   map[*Pattern]map[string]*watchSet{},
	}
}

func (s *shard) run() {
	defer close(s.stopped)
	defer s.heartbeat.End()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var asks []ask
	var parts []*part
	for {
		s.heartbeat.End()
		select {
		case <-s.box.wake:
			s.heartbeat.Begin()
		case <-tick.C:
			s.heartbeat.Begin()
			s.now = s.table.clock()
			s.sweep()
		case <-s.quit:
			for _, a := range s.box.close() {
				if a.join != nil {
					s.refuse(a.join)
				} else {
					s.answer(a)
				}
			}
			return
		}
		s.now = s.table.clock()
		asks, parts = s.box.take(asks, parts)
		for i, p := range parts {
			s.heartbeat.Begin()
			s.append(p)
			s.table.flying.Add(-int64(len(p.items)))
			p.recycle()
			parts[i] = nil
			<-s.slots
		}
		for i, a := range asks {
			s.heartbeat.Begin()
			s.answer(a)
			asks[i] = ask{}
		}
		if cap(asks) > maxKept {
			asks = nil // do not keep the memory of a burst
		}
	}
}

func (s *shard) answer(a ask) {
	switch {
	case a.join != nil:
		s.join(a.join)
	case a.leave != nil:
		s.leave(a.leave)
	case a.unwatch != nil:
		s.unwatch(a.unwatch)
	case a.do != nil:
		a.do(s)
	}
}

// append writes a part to the tapes and publishes it.
func (s *shard) append(p *part) {
	for i := range p.items {
		it := &p.items[i]
		switch it.kind {
		case itemRecord:
			s.record(p, it)
		case itemProgress:
			s.marks = append(s.marks, it)
		case itemReset:
			s.publish()
			s.reset(it)
		case itemGrow:
			s.publish()
			s.grow(it)
		case itemGap:
			s.gap(it)
		}
	}
	s.publish()
	if s.table.overBudget() {
		s.shed()
	}
	if s.evicting.on || s.table.overLast() && s.now >= s.evicting.next {
		s.evict()
	}
}

func (s *shard) record(p *part, it *item) {
	name := p.text(it.name)
	r := s.rooms.find(name)
	if r == nil {
		if !it.pattern.Class.keeps() && !s.wants(it.pattern, name) {
			s.stats.skipped.Add(1)
			s.passOver(it.pattern, it.part, it.off)
			return
		}
		if !it.pattern.Holds(name) || !it.pattern.admit() {
			s.refused(p, it)
			s.passOver(it.pattern, it.part, it.off)
			return
		}
		r = s.make(string(name), it.pattern)
	}
	// A consumer that was set back reads records twice; the room gets them once. The chain alone
	// does not tell: a room that was created since does not know what came before.
	prev, known := r.chain.last(it.part)
	if known && it.off <= prev || s.reached(r.pattern.Feed, it.part, it.off) {
		s.stats.stale.Add(1)
		return
	}
	if !known {
		prev = unknown
		s.filled(r)
		if !r.private() && !r.tape.fed {
			s.appear(r)
		}
	}
	s.touch(r)
	s.recode(r)
	num := r.next
	var frame []byte
	var cost int64
	if r.pattern.Bare {
		op := byte(wire.OpText)
		if it.binary {
			op = wire.OpBinary
		}
		frame, cost = r.write(op, nil, it.value, nil, source(it.part), it.off, it.time, s.now)
	} else {
		e := it.envelope(r.name, p, prev)
		s.scratch = e.Append(s.scratch[:0])
		value := it.value
		if value == nil {
			value = null
		}
		frame, cost = r.write(wire.OpText, s.scratch, value, brace, source(it.part), it.off, it.time, s.now)
	}
	r.chain.set(it.part, it.off)
	if it.keyframe {
		r.keyframe.Store(num + 1)
	}
	if r.last != nil {
		s.remember(r, p, it, num, frame)
	}
	s.grown(r, cost)
	s.stats.appended.Add(1)
	s.stats.bytes.Add(uint64(len(it.value)))
}

// grown counts a chunk that was added to a tape. cost is its size, or 0 if no chunk was added.
func (s *shard) grown(r *Room, cost int64) {
	if cost > 0 {
		s.table.used.Add(cost)
		dir := *r.tape.dir.Load()
		s.begun = append(s.begun, dir[len(dir)-1])
	}
}

// touch remembers that the room has something to publish.
func (s *shard) touch(r *Room) {
	if r.next == r.head.Load() {
		s.touched = append(s.touched, r)
	}
}

// publish lets readers see what was written, then tells the listeners, and only then moves the
// positions. So a reader that loads the positions first and then finds its cursor at the head has
// been sent everything up to them.
func (s *shard) publish() {
	for i, r := range s.touched {
		r.publish()
		for sub := r.subs; sub != nil; sub = sub.after {
			if !sub.dirty.Load() && !sub.dirty.Swap(true) {
				s.tell(sub)
			}
		}
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	for i, subs := range s.told {
		if len(subs) > 0 {
			s.tellers[i].dirty(subs)
			clear(subs)
			s.told[i] = subs[:0]
		}
	}
	s.progress()
	s.date()
}

func (s *shard) tell(sub *Sub) {
	i := sub.listener.index
	for len(s.told) <= i {
		s.told = append(s.told, nil)
		s.tellers = append(s.tellers, nil)
	}
	s.told[i] = append(s.told[i], sub)
	s.tellers[i] = sub.listener
}

// make creates a room that has been counted.
func (s *shard) make(name string, p *Pattern) *Room {
	r := &Room{name: name, pattern: p}
	if p.Class.remembers() {
		r.last = newLatest(&s.table.usedLast)
		r.last.origin = s.state(p.Feed)
		r.last.went, r.last.unsure = s.went[p], s.went[p]
		s.partialFrom(p, r.last)
	}
	if p.Class.Private() {
		j := s.journals[p.Class]
		if j == nil {
			j = newTape()
			j.reach = s.states()
			s.journals[p.Class] = j
		}
		r.tape = j
	} else {
		r.tape = newTape()
		r.tape.reach = s.states()
		s.owned = append(s.owned, r)
	}
	s.rooms.add(r)
	s.stats.rooms.Add(1)
	return r
}
