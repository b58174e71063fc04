package rooms

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// crowd is a listener that watches, reads and goes away again, over and over.
type crowd struct {
	t      *testing.T
	table  *Table
	rnd    *rand.Rand
	l      *Listener
	log    *topicLog
	sent   *steps   // the producers' batches
	probes []string // a room of another pattern in each shard: its member tells the seam

	mu    sync.Mutex
	found []*Found

	records, rooms, later, absent, lagged int
}

func newCrowd(t *testing.T, m *manual, log *topicLog, sent *steps, seed uint64) *crowd {
	c := &crowd{t: t, table: m.Table, log: log, sent: sent, rnd: rand.New(rand.NewPCG(seed, 99))}
	c.l = m.Listen(func(subs []*Sub) {
		for _, s := range subs {
			s.Take()
		}
	})
	c.l.Found = func(f *Found) {
		c.mu.Lock()
		c.found = append(c.found, f)
		c.mu.Unlock()
	}
	c.probes = make([]string, len(m.shards))
	for i, left := 0, len(m.shards); left > 0; i++ {
		name := fmt.Sprint("probe:", i)
		if k := m.shardOf(name); c.probes[k] == "" {
			c.probes[k] = name
			left--
		}
	}
	return c
}

// round watches a prefix for a while. What it got by then is exactly what the
// topic held for those rooms from the seam of each shard on.
func (c *crowd) round() {
	prefix := []string{"a:", "a:1", "a:2", "a:11"}[c.rnd.IntN(4)]
	p, _, _ := c.table.Catalog().Resolve("a:x")
	w := &Watch{Pattern: p, Prefix: prefix}
	j := &Join{Watches: []*Watch{w}}
	for _, name := range c.probes {
		probe, _, _ := c.table.Catalog().Resolve(name)
		j.Rooms = append(j.Rooms, Member{Name: name, Pattern: probe})
	}
	c.ask(j)
	c.sent.await(c.rnd.IntN(140))            // the while
	ends := make([]Positions, len(c.probes)) // before the watch ends
	for i := range ends {
		r := j.Rooms[i].Sub.Room()
		ends[i] = c.table.PositionsAt(r, r.Head())
	}
	c.table.Unwatch(w)
	c.table.TopRooms(1, time.Minute) // what appeared by now was found
	members := w.Members()
	c.mu.Lock()
	for _, f := range c.found {
		members = append(members, f.Member)
		if f.Member.At != 0 || !slices.Equal(f.Watches, []*Watch{w}) {
			c.t.Errorf("%s was found at %d, for %d watches", f.Member.Name, f.Member.At, len(f.Watches))
		}
	}
	c.later += len(c.found)
	c.found = nil
	c.mu.Unlock()
	in := map[string]bool{}
	for _, s := range members {
		if in[s.Name] || !strings.HasPrefix(s.Name, prefix) {
			c.t.Errorf("%s was found for %s, twice or not matching", s.Name, prefix)
		}
		in[s.Name] = true
		c.verify(&s, j)
		c.table.Leave(s.Sub)
	}
	for _, s := range j.Rooms {
		c.table.Leave(s.Sub)
	}
	c.nothingElse(prefix, in, j, ends)
}

func (c *crowd) ask(j *Join) {
	done := make(chan struct{})
	j.Done = func(*Join) { close(done) }
	c.table.Join(c.l, j)
	<-done
}

// seam is the position of the room's shard when the watch began.
func (c *crowd) seam(name string, j *Join) Positions {
	return j.Rooms[c.table.shardOf(name)].Positions
}

func (c *crowd) verify(s *Member, j *Join) {
	r := s.Sub.Room()
	head := r.Head()
	got := map[int32][]int64{}
	w := r.window()
	if s.At < head && !w.has(s.At) {
		c.lagged++
		return
	}
	for at := s.At; at < head; at++ {
		f := w.frame(at)
		got[f.source.partition()] = append(got[f.source.partition()], f.off)
	}
	from := c.seam(s.Name, j)
	end := c.table.PositionsAt(r, head)
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.rooms++
	for part, all := range c.log.epoch(epochName(1)).rooms[s.Name] {
		var want []int64
		for _, off := range all {
			if a, e := from.of(part), end.of(part); off > a.Offset && off <= e.Offset {
				want = append(want, off)
			}
		}
		c.records += len(want)
		if !slices.Equal(got[part], want) {
			c.t.Errorf("%s of partition %d: got %v, the topic has %v from %v to %v", s.Name, part,
				got[part], want, from, end)
		}
	}
}

// nothingElse looks for rooms that should have been found: those that had a
// record between the seam and the end.
func (c *crowd) nothingElse(prefix string, in map[string]bool, j *Join, ends []Positions) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for name, parts := range c.log.epoch(epochName(1)).rooms {
		if in[name] || !strings.HasPrefix(name, prefix) {
			continue
		}
		from, end := c.seam(name, j), ends[c.table.shardOf(name)]
		for part, all := range parts {
			for _, off := range all {
				if off > from.of(part).Offset && off <= end.of(part).Offset {
					c.t.Errorf("%s had %d:%d between %v and %v, and was not found", name, part, off, from, end)
				}
			}
		}
		c.absent++
	}
}

// A watch gets each record of each room that matches from the seam on,
// while rooms appear, go and come again.
func TestWatchSeams(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	log := newTopicLog("a", 3)
	brief := &Class{Name: "brief", RetainAge: 100 * time.Millisecond}
	m := newManual(t, Config{Shards: 3},
		&Pattern{Match: "a:*", Class: brief, Feed: log.feed},
		&Pattern{Match: "probe:*", Class: brief, Feed: log.feed})
	for _, s := range m.shards {
		s.now = 0
	}
	sent := newSteps()
	crowds := []*crowd{newCrowd(t, m, log, sent, seed), newCrowd(t, m, log, sent, seed+1)}
	m.Start()
	// The feed's position must be known, or there is no seam to tell of.
	for part := range int32(3) {
		m.batch.Progress(log.feed, part, -1)
	}
	if err := m.batch.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var producers, readers sync.WaitGroup
	for i := range 2 {
		p := &producer{log: log, batch: m.NewBatch(), cat: m.Catalog(), rnd: rand.New(rand.NewPCG(seed, uint64(i))),
			epoch: 1, parts: []int32{int32(i)}, next: map[int32]int64{}, all: sent}
		p.route = func(p *producer, _ int32) []string {
			// The names move on, so that rooms are new, are old, and come again.
			k := int(p.next[p.parts[0]] / 10)
			return slices.Compact([]string{fmt.Sprint("a:", (k+p.rnd.IntN(3))%400),
				fmt.Sprint("a:", k%400)}[:1+p.rnd.IntN(2)])
		}
		producers.Go(func() { p.run(t, ctx) })
	}
	enough := func() bool {
		rooms, later, records, absent := 0, 0, 0, 0
		for _, c := range crowds {
			rooms, later, records, absent = rooms+c.rooms, later+c.later, records+c.records, absent+c.absent
		}
		return rooms > 2000 && later > 300 && records > 10_000 && absent > 100
	}
	end := time.Now().Add(testwait.Patience)
	for !enough() && time.Now().Before(end) && !t.Failed() {
		for _, c := range crowds {
			readers.Go(func() {
				for range 10 {
					c.round()
				}
			})
		}
		readers.Wait()
	}
	stop()
	producers.Wait()
	m.Stop()
	m.check()
	if p, n := m.watchesNow(); p != 0 || n != 0 {
		t.Errorf("%d prefixes and %d watches are left", p, n)
	}
	for _, c := range crowds {
		t.Logf("rooms %d, of those found later %d, records %d, lagged %d", c.rooms, c.later, c.records, c.lagged)
	}
	if !enough() && !t.Failed() {
		t.Error("too little was shown")
	}
}
