package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tapecast/rooms/wire"
)

// mapClient is a member of a conflated room that keeps the newest value of each key.
type mapClient struct {
	at     uint64
	walk   bool
	known  Known
	end    uint64
	values map[string]string
}

// model is the reference: what each key's value was at each position of the room.
type mapModel struct {
	events []event
}

type event struct {
	key, value string // value "": the key is gone
}

// at is the offline compaction of the room up to frame number n.
func (m *mapModel) at(n uint64) map[string]string {
	out := map[string]string{}
	for _, e := range m.events[:n] {
		if e.value == "" {
			delete(out, e.key)
		} else {
			out[e.key] = e.value
		}
	}
	return out
}

// take reads pieces as a client reads frames.
func (c *mapClient) take(t *testing.T, m *mapModel, pieces []Piece) {
	t.Helper()
	for _, p := range pieces {
		num := p.First()
		for b := p.Bytes; len(b) > 0; num++ {
			var payload []byte
			_, payload, b = readFrame(t, b)
			var f struct {
				Key  string
				Data json.RawMessage
			}
			if err := json.Unmarshal(payload, &f); err != nil {
				t.Fatalf("%s: %v", payload, err)
			}
			e := m.events[num]
			value := string(bytes.Trim(f.Data, `"`))
			if value == "null" {
				value = ""
			}
			if e.key != f.Key || e.value != value {
				t.Fatalf("frame %d is %q %q, want %q %q", num, f.Key, value, e.key, e.value)
			}
			if value == "" {
				delete(c.values, f.Key)
			} else {
				c.values[f.Key] = value
			}
		}
	}
}

// visit does what a loop does for a member: part of what it lacks, now and then all.
func (c *mapClient) visit(t *testing.T, table *Table, r *Room, m *mapModel, rnd *rand.Rand) (snapshots int) {
	t.Helper()
	if c.walk && c.end > 0 && c.at >= c.end {
		c.same(t, m)
		c.walk, c.end = false, 0
	}
	if !c.walk && table.Behind(r, c.at) {
		c.walk, c.known = true, Known{}
	}
	max := 1 + rnd.IntN(2000)
	var next uint64
	var pieces []Piece
	if c.walk {
		level, lost := false, false
		next, pieces, level, lost = r.CutLatest(c.at, c.known, max, nil, nil)
		if lost {
			c.values, c.at, c.end, c.known = map[string]string{}, 0, 0, r.Forgotten()
			return 1
		}
		if c.end = 0; level {
			c.end = next
		}
	} else {
		lagged := false
		next, pieces, lagged = r.Cut(c.at, max, nil)
		if lagged {
			t.Fatal("lagged, but not behind")
		}
	}
	for i, p := range pieces {
		if i > 0 && p.First() < pieces[i-1].First()+uint64(pieces[i-1].Frames()) {
			t.Fatal("pieces are not in the order of updates")
		}
		if p.First() < c.at {
			t.Fatalf("an update older than one already sent: %d after %d", p.First(), c.at)
		}
	}
	c.take(t, m, pieces)
	c.at = next
	return 0
}

func (c *mapClient) same(t *testing.T, m *mapModel) {
	t.Helper()
	want := m.at(c.at)
	if fmt.Sprint(c.values) != fmt.Sprint(want) {
		t.Fatalf("at %d the client has %v, want %v", c.at, c.values, want)
	}
}

// TestLatestModel: members of a conflated room that stall and come back at random have,
// whenever they are level, what an offline compaction says.
func TestLatestModel(t *testing.T) {
	allWalks, allSnapshots := 0, 0
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		owner, name := "", "p:1"
		match := "p:*"
		if seed%3 == 0 {
			owner, match = "{sub}", "p:{owner}"
		}
		feed := newOpenFeed(1)
		k := &Class{Name: "market", Owner: owner, Conflate: true, Snapshot: true, RetainBytes: 4 << 10,
			RetainAge:     5 * time.Second,
			ConflateBytes: 600, MaxKeys: 60, KeyTTL: 3 * time.Minute}
		p := &Pattern{Match: match, Class: k, Feed: feed}
		m := newManual(t, Config{}, p)
		l := m.listen()
		member := m.join(l, name)[0]
		r := member.Sub.Room()
		model := &mapModel{}
		sync := func() { // what the table wrote by itself
			for n := uint64(len(model.events)); n < r.Head(); n++ {
				w := r.window()
				if !w.has(n) {
					t.Fatalf("seed %d: frame %d of %d is gone", seed, n, r.Head())
				}
				pc, f := w.piece(n)
				if f.source != sourceExpired {
					t.Fatalf("frame %d is nobody's", n)
				}
				model.events = append(model.events, event{key: string(wire.KeyText(pc.Bytes))})
			}
		}
		var clients []*mapClient
		for range 6 {
			clients = append(clients, &mapClient{walk: true, known: r.Forgotten(), values: map[string]string{}})
		}
		off, snapshots, walks := int64(0), 0, 0
		for range 1500 {
			for range rnd.IntN(12) {
				key := fmt.Sprint("k", rnd.IntN(1+rnd.IntN(90)))
				rec := Record{Pattern: p, Room: []byte(name), Type: "t", Key: []byte(key), HasKey: true, Offset: off,
					Time: 1, Value: fmt.Appendf(nil, `"v%d"`, off)}
				if rnd.IntN(8) == 0 {
					rec.Value = nil
				}
				m.batch.Add(&rec)
				m.batch.Progress(feed, 0, off)
				// One record a batch, since evictions come between records.
				before := uint64(len(model.events))
				m.send()
				value := string(bytes.Trim(rec.Value, `"`))
				model.events = append(model.events[:before], event{key, value})
				sync()
				off++
			}
			m.pass(time.Duration(rnd.IntN(1500)) * time.Millisecond)
			if rnd.IntN(100) == 0 {
				m.pass(time.Duration(rnd.IntN(200)) * time.Second)
			}
			if rnd.IntN(3) == 0 {
				for range sweepSteps + 1 {
					m.shards[0].sweep()
					sync()
				}
			}
			for i, c := range clients {
				if rnd.IntN(3+10*i) == 0 {
					snapshots += c.visit(t, m.Table, r, model, rnd)
				}
				if c.walk {
					walks++
				}
			}
		}
		for _, c := range clients {
			for c.walk || c.at < r.Head() {
				snapshots += c.visit(t, m.Table, r, model, rnd)
			}
			c.same(t, model)
		}
		allWalks, allSnapshots = allWalks+walks, allSnapshots+snapshots
		got := m.Stats()
		if got.LastBytes != r.last.bytes {
			t.Errorf("LastBytes is %d, the room's is %d", got.LastBytes, r.last.bytes)
		}
		var sum int64
		o := r.last.order.Load()
		for _, f := range o.frames[:o.n.Load()] {
			if f.next.Load() == 0 {
				sum += lastSize + int64(len(f.key))
				if c := f.copy.Load(); c != nil {
					sum += int64(len(*c))
				}
			}
		}
		if sum != r.last.bytes {
			t.Errorf("the entries take %d bytes, %d are counted", sum, r.last.bytes)
		}
	}
	if allWalks == 0 || allSnapshots == 0 {
		t.Errorf("%d walks, %d snapshots again: this shows little", allWalks, allSnapshots)
	}
}
