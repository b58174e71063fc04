package rooms

import (
	"testing"
	"time"
)

// manual is a table whose appenders are run by the test, step by step.
type manual struct {
	*Table
	t     testing.TB
	batch *Batch
	told  []*Sub // all that the listener of listen was told
}

// newManual makes a table of the patterns; the feeds are theirs.
func newManual(t testing.TB, cfg Config, patterns ...*Pattern) *manual {
	t.Helper()
	c, err := NewCatalog(patterns)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Catalog = c
	seen := map[*Feed]bool{nil: true}
	for _, p := range patterns {
		if !seen[p.Feed] {
			cfg.Feeds = append(cfg.Feeds, p.Feed)
		}
		seen[p.Feed] = true
	}
	if cfg.Shards == 0 {
		cfg.Shards = 1
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &manual{Table: table, t: t}
	m.batch = table.NewBatch()
	m.pass(time.Hour)
	return m
}

func newOpenFeed(partitions int32) *Feed {
	f := NewFeed("topic")
	f.Open("e1", partitions)
	return f
}

// send does what the appenders do with a batch that was sent.
func (m *manual) send() {
	m.t.Helper()
	for i, p := range m.batch.parts {
		if p != nil {
			m.shards[i].append(p)
			p.recycle()
			m.batch.parts[i] = nil
		}
	}
	m.batch.n = 0
	m.check()
}

// add puts a record in the batch.
func (m *manual) add(room string, part int32, off int64, value string) {
	p, _, ok := m.cfg.Catalog.Resolve(room)
	if !ok {
		m.t.Fatalf("no pattern for %q", room)
	}
	m.batch.Add(&Record{Pattern: p, Room: []byte(room), Type: "t", Partition: part, Offset: off, Time: 1,
		Value: []byte(value)})
}

// put sends one record and its progress.
func (m *manual) put(room string, part int32, off int64, value string) {
	m.t.Helper()
	m.add(room, part, off, value)
	p, _, _ := m.cfg.Catalog.Resolve(room)
	m.batch.Progress(p.Feed, part, off)
	m.send()
}

// pass lets time pass for all shards, without a sweep.
func (m *manual) pass(d time.Duration) {
	for _, s := range m.shards {
		s.now += d.Milliseconds()
	}
}

// sweep has every shard sweep as often as it takes to see all rooms.
func (m *manual) sweep() {
	m.t.Helper()
	for _, s := range m.shards {
		for range sweepSteps + 1 {
			s.sweep()
		}
	}
	m.check()
}

func (m *manual) listen() *Listener {
	return m.Listen(func(subs []*Sub) { m.told = append(m.told, subs...) })
}

func (m *manual) join(l *Listener, names ...string) []Member {
	m.t.Helper()
	j := &Join{Done: func(*Join) {}}
	for _, name := range names {
		p, _, ok := m.cfg.Catalog.Resolve(name)
		if !ok {
			m.t.Fatalf("no pattern for %q", name)
		}
		j.Rooms = append(j.Rooms, Member{Name: name, Pattern: p})
	}
	m.Join(l, j)
	m.answer()
	return j.Rooms
}

func (m *manual) leave(s *Sub) {
	m.Leave(s)
	m.answer()
}

func (m *manual) answer() {
	for _, s := range m.shards {
		asks, _ := s.box.take(nil, nil)
		for _, a := range asks {
			s.answer(a)
		}
	}
}

// room finds a room that is alive; nil: there is none.
func (m *manual) room(name string) *Room {
	return m.shards[m.shardOf(name)].rooms.findString(name)
}

// check compares what is counted with what is there.
func (m *manual) check() {
	m.t.Helper()
	var cost, chunks int64
	rooms, listened := 0, 0
	of := map[*Pattern]int64{}
	var tape func(t *Tape)
	tape = func(t *Tape) {
		cost += t.cost
		for _, c := range *t.dir.Load() {
			chunks += c.cost()
		}
		t.others(func(z *coded) { tape(&z.Tape) })
	}
	for _, s := range m.shards {
		for _, r := range s.owned {
			tape(r.tape)
		}
		for _, j := range s.journals {
			tape(j)
		}
		for b := range s.rooms.buckets {
			s.rooms.each(b, func(r *Room) {
				rooms++
				of[r.pattern]++
				if r.subs != nil {
					listened++
				}
				if r.next != r.head.Load() {
					m.t.Errorf("%s: %d frames written, %d published", r.name, r.next, r.head.Load())
				}
			})
		}
	}
	got := m.Stats()
	if got.TapeBytes != cost || got.TapeBytes != chunks {
		m.t.Errorf("TapeBytes is %d, the tapes' costs are %d, their chunks' %d", got.TapeBytes, cost, chunks)
	}
	if got.Rooms != int64(rooms) || got.Listened != int64(listened) {
		m.t.Errorf("Stats has %d rooms, %d listened; there are %d, %d", got.Rooms, got.Listened, rooms, listened)
	}
	for _, p := range m.cfg.Catalog.Patterns() {
		if p.Rooms() != of[p] {
			m.t.Errorf("%s counts %d rooms, there are %d", p.Match, p.Rooms(), of[p])
		}
	}
}

// frames reads the payloads of a room's frames from number at on.
func (m *manual) frames(r *Room, at uint64) (payloads []string, next uint64) {
	m.t.Helper()
	for {
		next, pieces, lagged := r.Cut(at, 64<<10, nil)
		if lagged {
			m.t.Fatalf("%s: retention has overtaken %d", r.Name(), at)
		}
		if len(pieces) == 0 {
			return payloads, at
		}
		at = next
		for _, p := range pieces {
			for b := p.Bytes; len(b) > 0; {
				var payload []byte
				_, payload, b = readFrame(m.t, b)
				payloads = append(payloads, string(payload))
			}
		}
	}
}

// is compares positions by their JSON.
func (m *manual) is(got Positions, want string) {
	m.t.Helper()
	if s := string(got.AppendJSON(nil)); s != want {
		m.t.Errorf("got positions %s, want %s", s, want)
	}
}
