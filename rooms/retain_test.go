package rooms

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// Frames stay for their age at least, and go within a sweep of the end of their
// chunk's; time is the appenders' own.
func TestRetentionByAge(t *testing.T) {
	for _, match := range []string{"a", "o:{owner}"} {
		t.Run(match, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const age = 2 * time.Second
				feed := newOpenFeed(1)
				k := &Class{Name: "k", Keep: true, RetainAge: age}
				if strings.Contains(match, "owner") {
					k = &Class{Name: "k", Owner: "{sub}", RetainAge: age}
				}
				m := newManual(t, Config{}, &Pattern{Match: match, Class: k, Feed: feed})
				m.Start()
				defer m.Stop()
				name := strings.Replace(match, "{owner}", "1", 1)
				p := m.Catalog().Patterns()[0]
				j := &Join{Rooms: []Member{{Name: name, Pattern: p}}}
				done := make(chan struct{})
				j.Done = func(*Join) { close(done) }
				m.Join(m.Listen(func([]*Sub) {}), j)
				<-done
				r := j.Rooms[0].Sub.Room()
				var sent []time.Time
				for i := range int64(200) {
					m.add(name, 0, i, "1")
					m.batch.Progress(feed, 0, i)
					if err := m.batch.Send(t.Context()); err != nil {
						t.Fatal(err)
					}
					sent = append(sent, time.Now())
					testwait.Pass(20 * time.Millisecond)
					tail := r.Tail()
					if tail > 0 && time.Since(sent[tail-1]) < age {
						t.Fatalf("frame %d went after %v", tail-1, time.Since(sent[tail-1]))
					}
					// 1 KiB holds some ten frames of 20 ms each.
					if since := time.Since(sent[tail]); since > age+sweepEvery+500*time.Millisecond {
						t.Fatalf("frame %d is there after %v", tail, since)
					}
				}
				testwait.Pass(age - 20*time.Millisecond - time.Millisecond)
				if r.Tail() == r.Head() {
					t.Error("the last frame went before its age")
				}
				testwait.Pass(sweepEvery + 2*time.Millisecond)
				if r.Tail() != r.Head() || m.Stats().TapeBytes != 0 {
					t.Errorf("the last frame has not gone, %d bytes are left", m.Stats().TapeBytes)
				}
				m.Leave(j.Rooms[0].Sub)
				testwait.Pass(sweepEvery*sweepSteps + age)
				if n := m.Stats().Rooms; n != 0 {
					t.Errorf("%d rooms are left", n)
				}
			})
		})
	}
}

func TestRetentionByBytes(t *testing.T) {
	const most = 64 << 10
	feed := newOpenFeed(1)
	m := newManual(t, Config{},
		&Pattern{Match: "a", Class: &Class{Name: "a", RetainBytes: most, Keep: true}, Feed: feed},
		&Pattern{Match: "o:{owner}", Class: &Class{Name: "o", Owner: "{sub}", RetainBytes: most}, Feed: feed})
	rnd := rand.New(rand.NewPCG(6, 7))
	for i := range int64(3000) {
		name := []string{"a", "o:1", "o:2"}[rnd.IntN(3)]
		m.put(name, 0, i, strings.Repeat("1", 1+rnd.IntN(400)))
		m.shards[0].sweep()
		for _, room := range []string{"a", "o:1"} {
			if r := m.room(room); r != nil && (r.tape.cost > most || i > 1500 && r.tape.cost < most/2) {
				t.Fatalf("the tape of %s has %d bytes", room, r.tape.cost)
			}
		}
	}
	// One that is larger than all that may be kept is seen all the same.
	m.put("a", 0, 3000, strings.Repeat("1", 2*most))
	m.shards[0].sweep()
	if got, _ := m.frames(m.room("a"), m.room("a").Tail()); len(got) != 1 || len(got[0]) < 2*most {
		t.Errorf("%d frames are there instead of the large one", len(got))
	}
	m.put("a", 0, 3001, "1")
	m.shards[0].sweep()
	if got, _ := m.frames(m.room("a"), m.room("a").Tail()); len(got) != 1 || len(got[0]) > most {
		t.Errorf("%d frames are there instead of the newest", len(got))
	}
}

// Over the budget the oldest chunks of a shard go, whatever tape they are of, but
// private ones last and fresh ones not at all, and no more than it takes.
func TestBudget(t *testing.T) {
	const budget = 256 << 10
	feed := newOpenFeed(1)
	m := newManual(t, Config{Budget: budget},
		&Pattern{Match: "a:*",
			Class: &Class{Name: "a", RetainBytes: 32 << 10, RetainAge: time.Hour, Keep: true}, Feed: feed},
		&Pattern{Match: "o:{owner}",
			Class: &Class{Name: "o", Owner: "{sub}", RetainBytes: 32 << 10, RetainAge: time.Hour}, Feed: feed})
	rnd := rand.New(rand.NewPCG(8, 9))
	shed := uint64(0)
	before := m.chunks()
	for i := range int64(4000) {
		m.pass(time.Duration(rnd.IntN(60)) * time.Millisecond)
		m.put(fmt.Sprintf([]string{"a:%d", "o:%d"}[rnd.IntN(2)], rnd.IntN(8)), 0, i,
			strings.Repeat("1", 1+rnd.IntN(1000)))
		used, after := m.used.Load(), m.chunks()
		if used > budget {
			t.Fatalf("%d bytes are used of %d", used, budget)
		}
		if n := m.Stats().Shed; n != shed {
			shed = n
			if used < budget/16*15-12<<10 || used > budget/16*15 {
				t.Fatalf("%d bytes are left of %d", used, budget)
			}
			m.oldestWent(before, after)
		}
		before = after
	}
	if shed == 0 {
		t.Error("nothing was shed")
	}
	m.pass(2 * time.Hour)
	m.sweep()
	if got := m.Stats(); got.TapeBytes != 0 || got.Rooms != 0 {
		t.Errorf("%d bytes, %d rooms are left", got.TapeBytes, got.Rooms)
	}
}

// chunkID tells chunks apart: a tape and the number of the first frame.
type chunkID struct {
	t     *Tape
	first uint64
}

// chunks is all chunks of the first shard's tapes and journals.
func (m *manual) chunks() map[chunkID]*chunk {
	all := map[chunkID]*chunk{}
	tapes := []*Tape{}
	for _, r := range m.shards[0].owned {
		tapes = append(tapes, r.tape)
	}
	for _, j := range m.shards[0].journals {
		tapes = append(tapes, j)
	}
	for _, t := range tapes {
		for _, c := range *t.dir.Load() {
			all[chunkID{t, c.first}] = c
		}
	}
	return all
}

// oldestWent: of the chunks that were there before, none went that is younger than one that is
// left, those of the second pattern's journal last, and none that is fresh.
func (m *manual) oldestWent(before, after map[chunkID]*chunk) {
	m.t.Helper()
	private := m.shards[0].journals[m.cfg.Catalog.Patterns()[1].Class]
	worth := func(p chunkID, c *chunk) int64 {
		if p.t == private {
			return c.last + 1<<40
		}
		return c.last
	}
	gone, left := int64(0), int64(1<<62)
	for p, c := range before {
		if after[p] == nil {
			gone = max(gone, worth(p, c))
		}
	}
	for p, c := range after {
		if m.shards[0].now-c.last >= freshFor.Milliseconds() {
			left = min(left, worth(p, c))
		}
	}
	if gone > left {
		m.t.Fatalf("a chunk went that was written to at %d ms, one of %d ms was left", gone, left)
	}
	if now := m.shards[0].now - freshFor.Milliseconds(); gone&(1<<40-1) > now {
		m.t.Fatalf("a chunk went that was written to %d ms too late", gone&(1<<40-1)-now)
	}
}

// A shard that gets nothing any more gives up its share when it sweeps.
func TestIdleShardSheds(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Budget: 64 << 10, Shards: 2},
		&Pattern{Match: "a:*", Class: &Class{Name: "a", RetainAge: time.Hour, Keep: true}, Feed: feed})
	var name [2]string
	for i := range 100 {
		room := fmt.Sprintf("a:%d", i)
		name[m.shardOf(room)] = room
	}
	off := int64(0)
	fill := func(shard, n int) {
		for range n {
			m.put(name[shard], 0, off, strings.Repeat("1", 1000))
			off++
		}
	}
	fill(0, 50)
	m.pass(time.Minute)
	fill(1, 20)
	m.add(name[1], 0, off, "1")
	m.used.Add(1 << 20) // as if it had just come to this, with all of it in use elsewhere
	m.shards[0].sweep()
	m.used.Add(-1 << 20)
	if r := m.room(name[0]); r != nil && len(*r.tape.dir.Load()) != 0 {
		t.Errorf("the idle shard keeps %d chunks", len(*r.tape.dir.Load()))
	}
	m.send()
	if n := len(*m.room(name[1]).tape.dir.Load()); n == 0 {
		t.Error("the busy shard has shed what it has just written")
	}
}

// The positions that GapAt knows are bounded, and never later than the truth.
func TestTrail(t *testing.T) {
	feed := newOpenFeed(3)
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed})
	r := m.join(m.listen(), "a")[0].Sub.Room()
	rnd := rand.New(rand.NewPCG(10, 11))
	var truth [][3]int64 // by frame: the last offsets before it
	last := [3]int64{-1, -1, -1}
	exact := 0
	for i := range int64(20_000) {
		part := rnd.Int32N(3)
		truth = append(truth, last)
		last[part] = i
		m.put("a", part, i, "1")
		if rnd.IntN(100) > 0 {
			continue
		}
		if dir := *r.tape.dir.Load(); len(dir) > 1 {
			m.used.Add(-r.tape.drop(1 + rnd.IntN(len(dir))))
		}
		gone := r.tape.trail.Load()
		if gone == nil {
			continue
		}
		if len(*gone) > maxTrail {
			t.Fatalf("%d positions are kept", len(*gone))
		}
		for range 20 {
			at := rnd.Uint64N(r.Head() + 1)
			from, to, tail := m.GapAt(r, at)
			if tail != r.Tail() {
				t.Fatalf("the tail is %d, not %d", tail, r.Tail())
			}
			want := append(truth, last)
			for _, p := range from.Offsets {
				if off := want[at][p.Partition]; p.Offset > off {
					t.Fatalf("a gap from %v for a member of %d, whose last is %d", p, at, off)
				} else if p.Offset == off && off >= 0 {
					exact++
				}
			}
			for _, p := range to.Offsets {
				// In between are records of other rooms only: here none but of other partitions.
				if p.Offset < want[tail][p.Partition] || p.Offset >= i+1 {
					t.Fatalf("a gap to %v, and %d is left first", p, tail)
				}
			}
			if at >= (*gone)[0].first && from.Offsets == nil || at < (*gone)[0].first && from.Offsets != nil {
				t.Fatalf("a gap from %v for %d; positions are known from %d on", from, at, (*gone)[0].first)
			}
		}
	}
	if exact == 0 {
		t.Error("no position was near")
	}
}

// PositionsAt against the list of all that was ever sent.
func TestPositionsModel(t *testing.T) {
	for _, name := range []string{"a", "o:1"} {
		rnd := rand.New(rand.NewPCG(12, 13))
		feed := newOpenFeed(3)
		m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed},
			&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
		r := m.join(m.listen(), name, "o:2")[0].Sub.Room()
		progress := []int64{-1, -1, -1}
		for part := range int32(3) {
			m.batch.Progress(feed, part, -1)
		}
		m.send()
		var sent []Pos // what part and off the frames have
		overtaken := 0
		for range 3000 {
			for range rnd.IntN(4) {
				part := rnd.Int32N(3)
				progress[part] += 1 + rnd.Int64N(3)
				switch rnd.IntN(3) {
				case 0:
					m.add("o:2", part, progress[part], "1")
				case 1:
					m.add(name, part, progress[part], "1")
					sent = append(sent, Pos{part, progress[part]})
				}
				m.batch.Progress(feed, part, progress[part])
			}
			m.send()
			if dir := *r.tape.dir.Load(); rnd.IntN(50) == 0 && len(dir) > 0 {
				m.used.Add(-r.tape.drop(1 + rnd.IntN(len(dir))))
			}
			at := rnd.Uint64N(r.Head() + 1)
			if rnd.IntN(2) == 0 {
				at = max(at, r.Tail())
			}
			want := slices.Clone(progress)
			for _, p := range slices.Backward(sent[at:]) {
				want[p.Partition] = p.Offset - 1
			}
			got := m.PositionsAt(r, at)
			if at < r.Tail() {
				overtaken++
				for _, p := range got.Offsets {
					if p.Offset > want[p.Partition] {
						t.Fatalf("%s, %d overtaken: at %v, want %v at most", name, at, got, want)
					}
				}
				continue
			}
			if len(got.Offsets) != 3 || got.Offsets[0].Offset != want[0] || got.Offsets[1].Offset != want[1] ||
				got.Offsets[2].Offset != want[2] {
				t.Fatalf("%s, %d: at %v, want %v", name, at, got, want)
			}
		}
		if overtaken == 0 {
			t.Error("no member was overtaken")
		}
	}
}
