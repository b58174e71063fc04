package rooms

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Each record goes to many rooms, so frame n of each is offset n; any caller
// in the midst of publishing must hear that a cursor at n has been sent n-1.
func TestPositionsWhilePublishing(t *testing.T) {
	for _, name := range []string{"kept", "shed", "private"} {
		t.Run(name, func(t *testing.T) {
			const wide = 300
			feed := newOpenFeed(1)
			pattern := &Pattern{Match: "a:*", Class: &Class{Name: "a", Keep: true, RetainBytes: 1 << 10}, Feed: feed}
			cfg := Config{}
			switch name {
			case "shed":
				cfg.Budget = 16 // every frame goes as soon as it was published
			case "private":
				pattern = &Pattern{Match: "a:{owner}", Class: &Class{Name: "a", Owner: "{sub}"}, Feed: feed}
			}
			m := newManual(t, cfg, pattern)
			var names []string
			for i := range wide {
				names = append(names, fmt.Sprintf("a:%d", i))
			}
			members := m.join(m.listen(), names...)
			for _, name := range names {
				m.add(name, 0, 0, "1")
			}
			m.batch.Progress(feed, 0, 0)
			m.send()
			m.shards[0].now = 0
			m.Start()
			var readers sync.WaitGroup
			var done atomic.Bool
			var asked atomic.Int64
			for i := range 2 {
				readers.Go(func() {
					rnd := rand.New(rand.NewPCG(14, uint64(i)))
					for !done.Load() {
						r := members[wide-1-rnd.IntN(20)].Sub.Room()
						for range 50 {
							at, head := r.Head(), uint64(0)
							p := m.PositionsAt(r, at)
							if head = r.Head(); head > at && r.Tail() > at {
								continue // overtaken meanwhile: an earlier position will do
							}
							if len(p.Offsets) != 1 || p.Offsets[0].Offset != int64(at)-1 {
								t.Errorf("%s: a cursor at %d has the positions %v; the head is %d by now",
									r.Name(), at, p, head)
								return
							}
							asked.Add(1)
						}
					}
				})
			}
			for off := int64(1); off <= 200; off++ {
				for _, name := range names {
					m.batch.Add(&Record{Pattern: pattern, Room: []byte(name), Partition: 0, Offset: off})
				}
				m.batch.Progress(feed, 0, off)
				if err := m.batch.Send(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			m.TopRooms(1, time.Minute) // the appender has done it all
			done.Store(true)
			readers.Wait()
			m.Stop()
			if r := members[0].Sub.Room(); asked.Load() == 0 || r.Head() != 201 {
				t.Errorf("%d questions, %d frames: nothing was shown", asked.Load(), r.Head())
			}
		})
	}
}

// TestPositionsRaised: a client's position is no earlier than the one it came with.
func TestPositionsRaised(t *testing.T) {
	have := []Pos{{0, 5}, {1, 2}}
	for _, c := range []struct {
		p, want Positions
		covers  bool
	}{
		{Positions{Epoch: "e", Offsets: []Pos{{0, 4}, {1, 3}}},
			Positions{Epoch: "e", Offsets: []Pos{{0, 5}, {1, 3}}}, false},
		{Positions{Epoch: "e", Offsets: []Pos{{0, 5}, {1, 2}}},
			Positions{Epoch: "e", Offsets: []Pos{{0, 5}, {1, 2}}}, true},
		{Positions{Epoch: "f", Offsets: []Pos{{0, 4}, {1, 3}}},
			Positions{Epoch: "f", Offsets: []Pos{{0, 4}, {1, 3}}}, false},
		{Positions{}, Positions{}, false},
	} {
		if covers := c.p.Cover(have); covers != c.covers {
			t.Errorf("%v covers %v: %v", c.p, have, covers)
		}
		if got := c.p.Raised("e", have); !reflect.DeepEqual(got, c.want) {
			t.Errorf("raised to %v, not %v", got, c.want)
		}
	}
}
