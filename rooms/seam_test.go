package rooms

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// topicLog is all that was ever routed from a topic, kept apart from the
// table: what members must have got is computed from it.
type topicLog struct {
	feed *Feed

	mu     sync.Mutex
	epochs map[string]*epochLog
}

type epochLog struct {
	rooms map[string]map[int32][]int64
	gaps  map[int32][]lost
}

type lost struct{ from, to int64 } // offsets in (from, to]

func newTopicLog(name string, partitions int32) *topicLog {
	l := &topicLog{feed: NewFeed(name), epochs: map[string]*epochLog{}}
	l.feed.Open(epochName(1), partitions)
	return l
}

func epochName(n int) string { return fmt.Sprintf("e%04d", n) }

func (l *topicLog) epoch(name string) *epochLog {
	e := l.epochs[name]
	if e == nil {
		e = &epochLog{rooms: map[string]map[int32][]int64{}, gaps: map[int32][]lost{}}
		l.epochs[name] = e
	}
	return e
}

func (l *topicLog) record(epoch, room string, part int32, off int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.epoch(epoch)
	if e.rooms[room] == nil {
		e.rooms[room] = map[int32][]int64{}
	}
	e.rooms[room][part] = append(e.rooms[room][part], off)
}

// steps counts what some goroutines do, so that others can wait for more of it.
type steps struct {
	mu    sync.Mutex
	more  sync.Cond // of mu
	n     int
	ended bool // there will be no more, and nobody waits
}

func newSteps() *steps {
	s := &steps{}
	s.more.L = &s.mu
	return s
}

// add counts a step.
func (s *steps) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.more.Broadcast()
}

func (s *steps) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.more.Broadcast()
}

// await waits for n more steps, or the end.
func (s *steps) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n += s.n; s.n < n && !s.ended; {
		s.more.Wait()
	}
}

// producer reads some partitions of a topic, as one consumer would.
type producer struct {
	log   *topicLog
	batch *Batch
	cat   *Catalog
	rnd   *rand.Rand
	epoch int
	parts []int32
	next  map[int32]int64
	last  []Record // what was read lately, to be read again
	route func(p *producer, part int32) []string
	whole bool         // it reads the whole topic, so it may create it again
	sent  atomic.Int64 // batches
	all   *steps       // those of all producers
}

func (p *producer) run(t *testing.T, ctx context.Context) {
	defer p.all.end()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		if p.whole && n >= 20 {
			switch (n - 20) % 100 {
			case 0, 1, 30, 70:
				p.gap()
			case 10, 40:
				p.grow()
			case 60:
				p.reset()
			}
		}
		if p.rnd.IntN(30) == 0 { // set back
			for i := range p.last {
				p.batch.Add(&p.last[i])
			}
		}
		touched := map[int32]bool{}
		for range 1 + p.rnd.IntN(20) {
			part := p.parts[p.rnd.IntN(len(p.parts))]
			p.read(part)
			touched[part] = true
		}
		for part := range touched {
			p.batch.Progress(p.log.feed, part, p.next[part]-1)
		}
		if err := p.batch.Send(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("cannot send: %v", err)
			return
		}
		p.sent.Add(1)
		p.all.add()
		if p.rnd.IntN(2) == 0 { // members come and go meanwhile
			<-tick.C
		}
	}
}

// read routes one record, to no room, one or several.
func (p *producer) read(part int32) {
	off := p.next[part] + p.rnd.Int64N(3)/2 // now and then one is missing
	p.next[part] = off + 1
	epoch := epochName(p.epoch)
	for _, room := range p.route(p, part) {
		pattern, _, _ := p.cat.Resolve(room)
		r := Record{Pattern: pattern, Room: []byte(room), Type: "t", Partition: part, Offset: off, Value: []byte("0")}
		if p.rnd.IntN(200) == 0 {
			r.Value = slices.Repeat([]byte("1"), 20<<10)
		}
		p.log.record(epoch, room, part, off)
		p.batch.Add(&r)
		p.last = append(p.last, r)
	}
	if len(p.last) > 20 {
		p.last = slices.Clone(p.last[10:])
	}
}

func (p *producer) reset() {
	if err := p.batch.Send(context.Background()); err != nil {
		return
	}
	p.epoch++
	p.batch.Reset(p.log.feed, epochName(p.epoch), int32(len(p.parts)))
	clear(p.next)
	p.last = nil
}

func (p *producer) grow() {
	if n := int32(len(p.parts)); n < 6 {
		p.batch.Grow(p.log.feed, n+1)
		p.parts = append(p.parts, n)
	}
}

func (p *producer) gap() {
	part := p.parts[p.rnd.IntN(len(p.parts))]
	g := lost{p.next[part] - 1, p.next[part] + p.rnd.Int64N(5)}
	p.batch.Gap(p.log.feed, part, g.from, g.to)
	p.log.mu.Lock()
	e := p.log.epoch(epochName(p.epoch))
	e.gaps[part] = append(e.gaps[part], g)
	p.log.mu.Unlock()
	p.next[part] = g.to + 1
	p.batch.Progress(p.log.feed, part, g.to)
}

// What every membership reads between its seam and its leave is exactly the
// records between the positions it was given at both, whatever producers,
// retention and other members do meanwhile.
func TestSeams(t *testing.T) {
	var n sum
	enough := func() bool {
		return n.members >= 50 && n.records >= 1000 && n.prev >= n.records/2 && n.lags > 0 && n.resets > 0 &&
			n.gaps > 0 && n.unknown > 0
	}
	// Two rounds show all of it, unless the machine is busy with other things.
	for seed := uint64(0); seed < 2 || seed < 20 && !enough() && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testSeams(t, seed, &n) })
	}
	if !t.Failed() && !enough() {
		t.Errorf("too little was shown: %+v", n)
	}
}

// toPrices routes a record of topic a.
func toPrices(p *producer, part int32) []string {
	switch p.rnd.IntN(10) {
	case 0:
		return nil
	case 1, 2:
		return []string{fmt.Sprintf("orders:%d", int(part)+3*p.rnd.IntN(2))}
	}
	return []string{"prices", fmt.Sprintf("prices:%d", p.rnd.IntN(6))}
}

func testSeams(t *testing.T, seed uint64, n *sum) {
	a, b := newTopicLog("a", 3), newTopicLog("b", 2)
	brief := &Class{Name: "brief", RetainAge: 300 * time.Millisecond}
	own := &Class{Name: "own", Owner: "{sub}", RetainAge: time.Second}
	m := newManual(t, Config{Shards: 4, Budget: 4 << 20},
		&Pattern{Match: "prices", Class: stream, Feed: a.feed},
		&Pattern{Match: "prices:*", Class: brief, Feed: a.feed},
		&Pattern{Match: "orders:{owner}", Class: own, Feed: a.feed},
		&Pattern{Match: "trades", Class: &Class{Name: "small", RetainBytes: 64 << 10}, Feed: b.feed},
		&Pattern{Match: "notes:{owner}", Class: own, Feed: b.feed})
	for _, s := range m.shards {
		s.now = 0
	}
	names := []string{"prices", "trades"}
	for i := range 6 {
		names = append(names, fmt.Sprintf("prices:%d", i), fmt.Sprintf("orders:%d", i), fmt.Sprintf("notes:%d", i))
	}
	var list []*audience
	sent := newSteps()
	for i := range 3 {
		v := newAudience(t, m.Table, names, sent, rand.New(rand.NewPCG(seed, 10+uint64(i))))
		v.join() // before anything is known
		list = append(list, v)
	}
	list[2].slow = true

	m.Start()
	ctx, stop := context.WithCancel(t.Context())
	var producers, readers sync.WaitGroup
	var all []*producer
	produce := func(i uint64, log *topicLog, parts []int32, route func(*producer, int32) []string) {
		p := &producer{log: log, batch: m.NewBatch(), cat: m.Catalog(), rnd: rand.New(rand.NewPCG(seed, i)),
			epoch: 1, parts: parts, next: map[int32]int64{}, route: route, whole: log == b, all: sent}
		all = append(all, p)
		producers.Go(func() { p.run(t, ctx) })
	}
	produce(1, a, []int32{0, 1}, toPrices)
	produce(2, a, []int32{2}, toPrices)
	produce(3, b, []int32{0, 1}, func(p *producer, part int32) []string {
		return []string{"trades", fmt.Sprintf("notes:%d", p.rnd.IntN(8))}[p.rnd.IntN(2):]
	})

	var ended atomic.Bool
	for _, v := range list {
		readers.Go(func() { v.run(&ended) })
	}
	testwait.Until(t, time.Minute, "each producer has sent enough", func() bool {
		return !slices.ContainsFunc(all, func(p *producer) bool { return p.sent.Load() < 1200 })
	})
	stop()
	producers.Wait()
	m.TopRooms(1, time.Minute) // every appender has done what was sent
	ended.Store(true)
	readers.Wait()
	m.Stop()
	m.check()
	for _, v := range list {
		for _, s := range v.done {
			log := a
			if s.room.Pattern().Feed == b.feed {
				log = b
			}
			n.add(s.verify(t, log))
		}
	}
	t.Logf("%+v, %+v", *n, m.Stats())
}
