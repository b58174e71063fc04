package rooms

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestEvictRace: members that walk a room while its appender evicts never have anything
// but the newest value of a key, or nothing and a snapshot that they know to be partial.
func TestEvictRace(t *testing.T) {
	m, feed := stated(t, Config{LastBudget: 64 << 10})
	p := m.Catalog().Patterns()[1]
	r := m.join(m.listen(), "m:a")[0].Sub.Room()
	m.Start()
	done := make(chan struct{})
	var wg sync.WaitGroup
	clients := make([]*walker, 4)
	for i := range clients {
		c := &walker{t: t, room: r, values: map[string]string{}, max: 200 << (2 * i)}
		clients[i] = c
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					c.step()
				}
			}
		})
	}
	const records = 30_000
	newest := map[string]string{}
	for off := range int64(records) {
		k, v := fmt.Sprint("k", off*7919%613), fmt.Sprint(off)
		newest[k] = v
		m.batch.Add(&Record{Pattern: p, Room: []byte("m:a"), HasKey: true, Key: []byte(k),
			Offset: off, Value: []byte(v)})
		if off%50 == 49 {
			m.batch.Progress(feed, 0, off)
			if err := m.batch.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.TopRooms(1, time.Minute) // the appender has done it all: Stop drops what waits for it
	m.Stop()
	if at := m.PositionsAt(r, r.Head()); at.of(0) == nil || at.of(0).Offset != records-1 {
		t.Fatalf("the room is at %v after %d records", at, records)
	}
	close(done)
	wg.Wait()
	if m.Stats().OutOfMemory == 0 || !m.Partial(r) {
		t.Fatal("nothing was evicted")
	}
	for i, c := range clients {
		c.levels(i, newest)
	}
}

// walker is a member that walks the last values of a room. Its goroutine alone touches it.
type walker struct {
	t              *testing.T
	room           *Room
	values         map[string]string
	at             uint64
	known          Known
	max, snapshots int
}

// step takes what a loop would send, and reports whether the member is level then.
func (c *walker) step() (level bool) {
	next, pieces, level, lost := c.room.CutLatest(c.at, c.known, c.max, nil, nil)
	if lost {
		c.values, c.at, c.known = map[string]string{}, 0, c.room.Forgotten()
		c.snapshots++
		return false
	}
	for _, piece := range pieces {
		for b := piece.Bytes; len(b) > 0; {
			var text []byte
			_, text, b = readFrame(c.t, b)
			var e struct {
				Key  string
				Data json.RawMessage
			}
			if err := json.Unmarshal(text, &e); err != nil {
				c.t.Error(err)
			}
			c.values[e.Key] = string(e.Data)
		}
	}
	if c.at = next; level {
		c.known = Known{}
	}
	return level
}

// levels walks to the head, and compares what the member has with the newest values.
func (c *walker) levels(i int, newest map[string]string) {
	c.t.Helper()
	for n, level := 0, false; !level; n++ {
		if level = c.step(); n > 10_000 {
			c.t.Fatalf("client %d does not get level: it is at %d of %d", i, c.at, c.room.Head())
		}
	}
	for k, v := range c.values {
		if v != newest[k] {
			c.t.Fatalf("client %d has %s of %s, which is %s", i, v, k, newest[k])
		}
	}
	if c.snapshots == 0 && len(c.values) < len(newest) {
		c.t.Errorf("client %d has %d of %d keys and was told nothing", i, len(c.values), len(newest))
	}
}
