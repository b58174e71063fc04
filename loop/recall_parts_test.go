package loop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms"
)

// parts is a topic of two partitions that is read again in small parts, some of which are
// taken back, or cannot be read for now.
type parts struct {
	*world
	all []rooms.Record // in the order in which they were published
	end int            // how many will be published, each to two rooms

	handed, given, taken, later atomic.Int64

	mu   sync.Mutex
	held map[*rooms.Past]func(*rooms.Past)
}

const partsOf = 20 // records

func newParts(t *testing.T) *parts {
	p := &parts{held: map[*rooms.Past]func(*rooms.Past){}}
	p.world = newWorldOf(t, 2, Config{
		Recall: p.recall, Wildcards: 8, RoomsPerWildcard: 9, SendBuffer: 8 << 10, NotSentLowat: 4 << 10,
	}, &rooms.Class{Name: "stream", RetainBytes: 8 << 10})
	return p
}

// put publishes records to both partitions, each to room all and to one of wild:a and wild:b.
func (p *parts) put(n int) {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	for range n {
		i := len(p.all) / 2
		part, off := int32(i%2), int64(i/2)
		for _, name := range []string{"all", "wild:" + string(rune('a'+i%3%2))} {
			pattern, _, _ := p.catalog.Resolve(name)
			r := rooms.Record{
				Pattern: pattern, Room: []byte(name), Type: "t", Key: fmt.Appendf(nil, "k%d", i%5), HasKey: true,
				Partition: part, Offset: off, Time: int64(i + 1), Value: fmt.Appendf(nil, `"%0100d"`, i),
			}
			p.batch.Add(&r)
			p.all = append(p.all, r)
		}
		p.batch.Progress(p.feed, part, off)
		p.off++
	}
	if err := p.batch.Send(context.Background()); err != nil {
		p.t.Error(err)
	}
}

// missing is what of the room's records lies between the positions.
func (p *parts) missing(room string, after, upTo []rooms.Pos) (list []rooms.Record) {
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	for _, r := range p.all {
		i := slices.IndexFunc(upTo, func(u rooms.Pos) bool { return u.Partition == r.Partition })
		if string(r.Room) == room && i >= 0 && r.Offset > after[i].Offset && r.Offset <= upTo[i].Offset {
			list = append(list, r)
		}
	}
	return list
}

func (p *parts) recall(r *rooms.Recall) {
	go func() {
		if r.Names != nil {
			r.Names([]string{"wild:a", "wild:b"}, nil)
			return
		}
		p.awaitMore(rand.IntN(4), p.end) // Kafka takes its time
		if r.Dropped() {
			r.Done(nil, rooms.ErrStopped)
			return
		}
		if r.More && rand.IntN(30) == 0 {
			p.later.Add(1)
			r.Done(nil, &rooms.NotNowError{Why: "not now", RetryAfter: time.Millisecond})
			return
		}
		list := p.missing(r.Room, r.After, r.UpTo)
		var upTo []rooms.Pos
		if len(list) > partsOf {
			upTo = slices.Clone(r.UpTo)
			for i := range upTo {
				for _, x := range list[partsOf:] {
					if x.Partition == upTo[i].Partition {
						upTo[i].Offset = x.Offset - 1
						break
					}
				}
			}
			list = list[:partsOf]
		}
		p.handed.Add(1)
		p.given.Add(1)
		past := rooms.NewPast(r.Pattern, r.Room, list, r.Last)
		var held *rooms.Past
		held = past.Share(upTo, func() {
			p.handed.Add(-1)
			p.mu.Lock()
			delete(p.held, held)
			p.mu.Unlock()
		})
		p.mu.Lock()
		p.held[held] = r.TakeBack
		p.mu.Unlock()
		r.Done(held, nil)
	}()
}

// take has some part taken back.
func (p *parts) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for past, back := range p.held {
		p.taken.Add(1)
		go back(past)
		return
	}
}

// TestRecallParts: members whose past comes in parts, while the topic and the tapes go on
// and parts are taken back, get each message once and in order, with filters, under a
// wildcard, and when they leave, come back or hang up in between. No part is kept.
func TestRecallParts(t *testing.T) {
	p := newParts(t)
	p.end = 3000
	if raceEnabled {
		p.end = 1200
	}
	p.put(400)
	p.settle()
	stop := p.goesOn()
	var clients sync.WaitGroup
	for range 3 {
		p.staying(&clients, "all", "", "all")
		p.staying(&clients, "filtered", "k3", "all")
		p.staying(&clients, "wildcard", "", "wild:a", "wild:b")
	}
	for range 4 {
		r := &resumer{p: p, last: map[string][2]int64{"all": {-1, -1}}, got: map[string]int{}}
		clients.Go(func() {
			if err := r.roam(p.end); err != nil {
				t.Errorf("one that comes and goes: %v, %d of %d", err, r.got["all"], p.end)
			}
		})
	}
	clients.Wait()
	stop()
	t.Logf("%d parts, %d taken back, %d not now", p.given.Load(), p.taken.Load(), p.later.Load())
	if p.given.Load() < 200 || p.taken.Load() == 0 {
		t.Error("the past did not come in parts")
	}
	p.await(func() bool { return p.handed.Load() == 0 })
}

// goesOn publishes the rest, and has parts taken back until it is stopped.
func (p *parts) goesOn() (stop func()) {
	done := make(chan struct{})
	var feeding sync.WaitGroup
	feeding.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range (p.end - 400) / 5 {
			p.put(5)
			<-tick.C
		}
	})
	feeding.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				p.take()
			}
		}
	})
	return func() {
		close(done)
		feeding.Wait()
	}
}

// count is how many messages of a key a room has at the end; "": of any key.
func (p *parts) count(room, key string) (n int) {
	for i := range p.end {
		in := room == "all" || room == "wild:"+string(rune('a'+i%3%2))
		if in && (key == "" || key == fmt.Sprint("k", i%5)) {
			n++
		}
	}
	return n
}

// staying starts a client that is now and then slow, and stays until it has all of the rooms.
func (p *parts) staying(clients *sync.WaitGroup, name, key string, in ...string) {
	r := &resumer{p: p, key: key, last: map[string][2]int64{}, got: map[string]int{}}
	want := map[string]int{}
	for _, room := range in {
		r.last[room] = [2]int64{-1, -1}
		want[room] = p.count(room, key)
	}
	r.dial()
	slow := func() {
		if rand.IntN(50) == 0 {
			p.awaitMore(rand.IntN(11), p.end)
		}
	}
	clients.Go(func() {
		defer r.conn.Close()
		err := r.say(r.since(in[0]))
		if err == nil {
			err = r.readTo(want, slow)
		}
		if err != nil {
			p.t.Errorf("%s: %v", name, err)
		}
		if key == "" && r.bare > 6*len(in)*(r.gaps+1) {
			p.t.Errorf("%s: %d messages say nothing of the one before", name, r.bare)
		}
	})
}
