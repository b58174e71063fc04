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
func (c *mapClient) take(t testing.TB, m *mapModel, pieces []Piece) {
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
func (c *mapClient) visit(t testing.TB, table *Table, r *Room, m *mapModel, rnd *rand.Rand) (snapshots int) {
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

func (c *mapClient) same(t testing.TB, m *mapModel) {
	t.Helper()
	want := m.at(c.at)
	if fmt.Sprint(c.values) != fmt.Sprint(want) {
		t.Fatalf("at %d the client has %v, want %v", c.at, c.values, want)
	}
}

// TestLatestModel: members of a conflated room that stall and come back at random have,
// whenever they are level, what an offline compaction says.
func TestLatestModel(t *testing.T) {
	walks, snapshots := 0, 0
	for seed := range uint64(30) {
		x := newConflated(t, seed)
		for range 1500 {
			x.step()
		}
		for _, c := range x.clients {
			for c.walk || c.at < x.room.Head() {
				x.snapshots += c.visit(t, x.Table, x.room, x.model, x.rnd)
			}
			c.same(t, x.model)
		}
		walks, snapshots = walks+x.walks, snapshots+x.snapshots
		x.countsBytes()
	}
	if walks == 0 || snapshots == 0 {
		t.Errorf("%d walks, %d snapshots again: this shows little", walks, snapshots)
	}
}

// conflated is a conflated room with members, and what was ever written into it.
type conflated struct {
	*manual
	seed             uint64
	rnd              *rand.Rand
	room             *Room
	model            *mapModel
	clients          []*mapClient
	off              int64
	snapshots, walks int
}

func newConflated(t *testing.T, seed uint64) *conflated {
	owner, match := "", "p:*"
	if seed%3 == 0 {
		owner, match = "{sub}", "p:{owner}"
	}
	k := &Class{Name: "market", Owner: owner, Conflate: true, Snapshot: true, RetainBytes: 4 << 10,
		RetainAge:     5 * time.Second,
		ConflateBytes: 600, MaxKeys: 60, KeyTTL: 3 * time.Minute}
	m := newManual(t, Config{}, &Pattern{Match: match, Class: k, Feed: newOpenFeed(1)})
	x := &conflated{manual: m, seed: seed, rnd: rand.New(rand.NewPCG(seed, 3)), model: &mapModel{},
		room: m.join(m.listen(), "p:1")[0].Sub.Room()}
	for range 6 {
		x.clients = append(x.clients,
			&mapClient{walk: true, known: x.room.Forgotten(), values: map[string]string{}})
	}
	return x
}

// sync adds to the model what the table wrote by itself.
func (x *conflated) sync() {
	x.t.Helper()
	for n := uint64(len(x.model.events)); n < x.room.Head(); n++ {
		w := x.room.window()
		if !w.has(n) {
			x.t.Fatalf("seed %d: frame %d of %d is gone", x.seed, n, x.room.Head())
		}
		pc, f := w.piece(n)
		if f.source != sourceExpired {
			x.t.Fatalf("frame %d is nobody's", n)
		}
		x.model.events = append(x.model.events, event{key: string(wire.KeyText(pc.Bytes))})
	}
}

// write gives the room a value of some key, or none.
func (x *conflated) write() {
	x.t.Helper()
	p := x.room.Pattern()
	key := fmt.Sprint("k", x.rnd.IntN(1+x.rnd.IntN(90)))
	rec := Record{Pattern: p, Room: []byte("p:1"), Type: "t", Key: []byte(key), HasKey: true, Offset: x.off,
		Time: 1, Value: fmt.Appendf(nil, `"v%d"`, x.off)}
	if x.rnd.IntN(8) == 0 {
		rec.Value = nil
	}
	x.batch.Add(&rec)
	x.batch.Progress(p.Feed, 0, x.off)
	// One record a batch, since evictions come between records.
	before := uint64(len(x.model.events))
	x.send()
	value := string(bytes.Trim(rec.Value, `"`))
	x.model.events = append(x.model.events[:before], event{key, value})
	x.sync()
	x.off++
}

func (x *conflated) step() {
	x.t.Helper()
	for range x.rnd.IntN(12) {
		x.write()
	}
	x.pass(time.Duration(x.rnd.IntN(1500)) * time.Millisecond)
	if x.rnd.IntN(100) == 0 {
		x.pass(time.Duration(x.rnd.IntN(200)) * time.Second)
	}
	if x.rnd.IntN(3) == 0 {
		for range sweepSteps + 1 {
			x.shards[0].sweep()
			x.sync()
		}
	}
	for i, c := range x.clients {
		if x.rnd.IntN(3+10*i) == 0 {
			x.snapshots += c.visit(x.t, x.Table, x.room, x.model, x.rnd)
		}
		if c.walk {
			x.walks++
		}
	}
}

// countsBytes compares what is counted with what the entries take.
func (x *conflated) countsBytes() {
	x.t.Helper()
	last := x.room.last
	if got := x.Stats(); got.LastBytes != last.bytes {
		x.t.Errorf("LastBytes is %d, the room's is %d", got.LastBytes, last.bytes)
	}
	var sum int64
	o := last.order.Load()
	for _, f := range o.frames[:o.n.Load()] {
		if f.next.Load() == 0 {
			sum += lastSize + int64(len(f.key))
			if c := f.copy.Load(); c != nil {
				sum += int64(len(*c))
			}
		}
	}
	if sum != last.bytes {
		x.t.Errorf("the entries take %d bytes, %d are counted", sum, last.bytes)
	}
}
