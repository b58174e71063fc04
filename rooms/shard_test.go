package rooms

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestStaleRecords(t *testing.T) {
	feed := newOpenFeed(2)
	m := newManual(t, Config{}, &Pattern{Match: "a:*", Class: stream, Feed: feed},
		&Pattern{Match: "unfed", Class: stream})
	l := m.listen()
	old := m.join(l, "a:old")[0]
	for off := range int64(10) {
		m.put("a:old", 0, off, "1")
	}
	fresh := m.join(l, "a:new")[0]
	m.is(fresh.Positions, `{}`)
	m.batch.Progress(feed, 1, 50)
	m.send()
	fresh = m.join(l, "a:new")[0]
	m.is(fresh.Positions, `{"epoch":"e1","0":9,"1":50}`)

	// The consumer is set back, and reads again what was before the join.
	for off := int64(7); off < 12; off++ {
		m.add("a:old", 0, off, "2")
		m.add("a:new", 0, off, "2")
		m.add("a:new", 0, off, "2") // and once more in the same batch
	}
	m.add("a:new", 1, 50, "2")
	m.batch.Progress(feed, 0, 11)
	m.send()
	if got, _ := m.frames(old.Sub.Room(), old.At); len(got) != 12 {
		t.Errorf("the old room got %d frames, want offsets 0 to 11: %q", len(got), got)
	}
	want := []string{`{"room":"a:new","type":"t","pos":"0:10","ts":1,"data":2}`,
		`{"room":"a:new","type":"t","pos":"0:11","prev":"0:10","ts":1,"data":2}`}
	if got, _ := m.frames(fresh.Sub.Room(), fresh.At); !slices.Equal(got, want) {
		t.Errorf("the new room got %q, want %q", got, want)
	}
	if n := m.Stats().Stale; n != 3+6+2+1 {
		t.Errorf("%d records were stale", n)
	}

	unfed := m.join(l, "unfed")[0]
	m.add("unfed", 7, 3, "1") // of no topic: nothing is known of its positions
	m.send()
	if got, _ := m.frames(unfed.Sub.Room(), unfed.At); len(got) != 1 {
		t.Errorf("the room without topic got %q", got)
	}
}

func TestUnlistenedRoomsAreSkipped(t *testing.T) {
	feed := newOpenFeed(1)
	keep := &Class{Name: "keep", Keep: true, RetainAge: time.Minute}
	m := newManual(t, Config{},
		&Pattern{Match: "a:*", Class: stream, Feed: feed},
		&Pattern{Match: "k:*", Class: keep, Feed: feed, MaxRooms: 2},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	m.put("a:1", 0, 0, "1")
	m.put("k:1", 0, 1, "1")
	m.put("o:1", 0, 2, "1")
	m.put("k:2", 0, 3, "1")
	m.put("k:3", 0, 4, "1") // one too many
	own, _, _ := m.cfg.Catalog.Resolve("o:1")
	// no name
	m.batch.Add(&Record{Pattern: own, Room: []byte("o:\xff"), Type: "t", Offset: 5, Time: 1, Value: []byte("1")})
	m.send()
	got := m.Stats()
	got.TapeBytes = 0
	if want := (Stats{Rooms: 3, RoomBytes: 3 * roomSize, Shards: 1, Appended: 3, Bytes: 3, Skipped: 1,
		Refused: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if m.room("a:1") != nil {
		t.Error("a room was made that nobody asked for")
	}
	l := m.listen()
	if s := m.join(l, "k:1")[0]; s.At != 1 || s.Sub.Room().Tail() != 0 {
		t.Errorf("the kept room is joined at %d, its tail is %d", s.At, s.Sub.Room().Tail())
	}
	if s := m.join(l, "k:3", "k:4", "k:5"); s[0].Err != nil || s[1].Err != nil ||
		s[2].Err != ErrTooManyRooms || s[2].Sub != nil {
		t.Errorf("more rooms than may be: %+v", s)
	}
	if p, _, _ := m.cfg.Catalog.Resolve("k:1"); p.Rooms() != 4 {
		t.Errorf("the pattern counts %d rooms", p.Rooms())
	}
}

// A member that leaves and one that stays share the listener's Sub.
func TestSubs(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{}, &Pattern{Match: "a:*", Class: stream, Feed: feed})
	told := [2]int{}
	l := [2]*Listener{}
	for i := range l {
		l[i] = m.Listen(func(subs []*Sub) { told[i] += len(subs) })
	}
	x, y, z := m.join(l[0], "a:1")[0].Sub, m.join(l[0], "a:1")[0].Sub, m.join(l[1], "a:1", "a:2")[0].Sub
	if x != y || x == z || x.Room() != z.Room() || x.Room().Class() != stream || x.Room().Name() != "a:1" {
		t.Fatalf("subs are %p %p %p", x, y, z)
	}
	off := int64(0)
	f := func(want0, want1 int) {
		t.Helper()
		told = [2]int{}
		m.add("a:1", 0, off, "1")
		m.add("a:1", 0, off+1, "1")
		off += 2
		m.send()
		if told[0] != want0 || told[1] != want1 {
			t.Errorf("told %d and %d times, want %d and %d", told[0], told[1], want0, want1)
		}
	}
	f(1, 1)
	f(0, 0) // not taken yet
	x.Take()
	f(1, 0)
	z.Take()
	x.Take()
	m.leave(x)
	f(1, 1) // y is there still
	x.Take()
	m.leave(y)
	z.Take()
	f(0, 1)
	m.leave(z)
	if got := m.Stats(); got.Rooms != 2 || got.Listened != 1 {
		t.Errorf("%d rooms, %d listened to", got.Rooms, got.Listened)
	}
	mustPanic(t, "BUG: more members left a:1 than joined", func() { m.leave(z) })

	w := &topWalk{n: 1}
	m.shards[0].topRooms.Ask(func() bool { return true })
	w.step(m.shards[0])
	if top := m.shards[0].topRooms.Take(); len(top) != 1 || top[0].Name != "a:2" || top[0].Members != 1 {
		t.Errorf("top is %+v", top)
	}
}

func TestJoinAnswersOnce(t *testing.T) {
	m := newManual(t, Config{Shards: 8}, &Pattern{Match: "a:*", Class: stream})
	l := m.listen()
	done := 0
	j := &Join{Done: func(*Join) { done++ }}
	m.Join(l, j) // no rooms at all
	if done != 1 {
		t.Fatalf("answered %d times", done)
	}
	j = &Join{Done: func(*Join) { done++ }}
	p, _, _ := m.cfg.Catalog.Resolve("a:1")
	for _, name := range []string{"a:1", "a:2", "a:3", "a:4", "a:5", "a:6", "a:7", "a:1"} {
		j.Rooms = append(j.Rooms, Member{Name: name, Pattern: p})
	}
	m.Join(l, j)
	if done != 1 {
		t.Fatal("answered before the appenders were asked")
	}
	m.answer()
	if done != 2 || j.Rooms[0].Sub != j.Rooms[7].Sub || j.Rooms[0].Sub.members != 2 {
		t.Errorf("answered %d times, %+v", done-1, j.Rooms)
	}
	for i, s := range j.Rooms {
		if s.Err != nil || s.Sub == nil || s.Sub.Room().Name() != s.Name || s.Sub.Room().Pattern() != p {
			t.Errorf("member %d is %+v", i, s)
		}
	}
}

// What follows the first colon decides on the shard, for names of either kind.
func TestShardOf(t *testing.T) {
	m := newManual(t, Config{Shards: 64})
	hit := map[int]bool{}
	for i := range 1000 {
		s := m.shardOf(fmt.Sprintf("orders:%d", i))
		hit[s] = true
		for _, name := range []string{"user:%d", "%d", "a:%d"} {
			name = fmt.Sprintf(name, i)
			if m.shardOf(name) != s || m.shardOfBytes([]byte(name)) != s {
				t.Fatalf("%s is in shard %d and %d, not %d", name, m.shardOf(name), m.shardOfBytes([]byte(name)), s)
			}
		}
	}
	if len(hit) != 64 {
		t.Errorf("1000 users are in %d shards", len(hit))
	}
}
