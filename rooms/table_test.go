package rooms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTableFaults(t *testing.T) {
	c, _ := NewCatalog(nil)
	f := func(want string, cfg Config) {
		t.Helper()
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f("needs a catalog", Config{})
	f("-1 shards: choose 1 to 64", Config{Catalog: c, Shards: -1})
	f("65 shards", Config{Catalog: c, Shards: 65})
	table, err := New(Config{Catalog: c, Feeds: []*Feed{NewFeed("a")}})
	if err != nil {
		t.Fatal(err)
	}
	if len(table.shards) == 0 || table.cfg.Budget != 512<<20 || table.cfg.LastBudget != 512<<20 ||
		table.Catalog() != c || len(table.Feeds()) != 1 {
		t.Errorf("defaults are not as documented: %+v", table.cfg)
	}
	table.Stop() // never started
	table.Start()
	mustPanic(t, "BUG: the room table was started twice", table.Start)
	table.Stop()
	table.Stop()
	mustPanic(t, "BUG: the room table was started twice", table.Start) // nor once more after its end
}

// live makes a started table of one shard in a bubble, with a room "a".
func live(t *testing.T) (m *manual, feed *Feed, member Member) {
	feed = newOpenFeed(1)
	m = newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed},
		&Pattern{Match: "b:*", Class: stream, Feed: feed})
	m.shards[0].now = 0
	m.Start()
	j := &Join{Rooms: []Member{{Name: "a", Pattern: m.Catalog().Patterns()[0]}}}
	done := make(chan struct{})
	j.Done = func(*Join) { close(done) }
	m.Join(m.Listen(func([]*Sub) {}), j)
	<-done
	return m, feed, j.Rooms[0]
}

// block keeps the appender of shard 0 busy until release is called.
func (m *manual) block() (release func()) {
	c := make(chan struct{})
	m.shards[0].box.ask(ask{do: func(*shard) { <-c }})
	synctest.Wait()
	return func() { close(c) }
}

// What waits for an appender is counted for each that it concerns, until it is answered.
func TestAsksAreCounted(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Shards: 2}, &Pattern{Match: "b:*", Class: stream, Feed: feed})
	p, l := m.Catalog().Patterns()[0], m.listen()
	var names [2]string
	for i := 0; names[0] == "" || names[1] == ""; i++ {
		name := fmt.Sprint("b:", i)
		names[m.shardOf(name)] = name
	}
	f := func(want int64) {
		t.Helper()
		if got := m.Stats().Asked; got != want {
			t.Errorf("%d requests wait, want %d", got, want)
		}
	}
	f(0)
	members := m.join(l, names[0], names[1])
	f(0)
	m.Join(l, &Join{Rooms: []Member{{Name: names[1], Pattern: p}}, Done: func(*Join) {}})
	f(1)
	m.Join(l, &Join{Watches: []*Watch{{Pattern: p, Prefix: "b:"}}, Done: func(*Join) {}})
	f(3)
	m.Leave(members[0].Sub)
	f(4)
	m.answer()
	f(0)
}

func TestSendWaitsForTheAppender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, feed, member := live(t)
		release := m.block()
		off := int64(0)
		fill := func() {
			m.add("a", 0, off, "1")
			m.batch.Progress(feed, 0, off)
			off++
		}
		for range maxParts {
			fill()
			if err := m.batch.Send(t.Context()); err != nil || m.batch.Len() != 0 {
				t.Fatalf("batch %d of %d that may wait: %v, %d records left", off, maxParts, err, m.batch.Len())
			}
		}
		fill()
		fill()
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- m.batch.Send(ctx) }()
		synctest.Wait()
		if len(answer) > 0 {
			t.Fatalf("did not wait: %v", <-answer)
		}
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) || m.batch.Len() != 2 {
			t.Fatalf("got %v with %d records left", err, m.batch.Len())
		}
		go func() { answer <- m.batch.Send(t.Context()) }() // the same records once more
		synctest.Wait()
		release()
		if err := <-answer; err != nil || m.batch.Len() != 0 {
			t.Fatalf("got %v with %d records left", err, m.batch.Len())
		}
		synctest.Wait()
		r := member.Sub.Room()
		got, _ := m.frames(r, member.At)
		for i, text := range got {
			if !strings.Contains(text, fmt.Sprintf(`"pos":"0:%d"`, i)) {
				t.Fatalf("frame %d is %s", i, text)
			}
		}
		m.is(m.PositionsAt(r, r.Head()), fmt.Sprintf(`{"epoch":"e1","0":%d}`, maxParts+1))
		m.is(m.PositionsAt(r, 7), `{"epoch":"e1","0":6}`)
		m.Stop()
		if len(got) != maxParts+2 {
			t.Errorf("%d frames came of %d", len(got), maxParts+2)
		}
		m.add("a", 0, 100, "1")
		if err := m.batch.Send(t.Context()); err != ErrStopped {
			t.Errorf("after Stop: %v", err)
		}
		m.check()
	})
}

func TestStopEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, member := live(t)
		release := m.block()
		l := m.Listen(func([]*Sub) {})
		var joins []*Join
		var mu sync.Mutex
		answered := 0
		ask := func() {
			j := &Join{Done: func(*Join) { mu.Lock(); answered++; mu.Unlock() }}
			for _, name := range []string{"b:1", "b:2"} {
				j.Rooms = append(j.Rooms, Member{Name: name, Pattern: m.Catalog().Patterns()[1]})
			}
			joins = append(joins, j)
			m.Join(l, j)
		}
		for range 5 {
			ask()
		}
		m.Leave(member.Sub)
		sent := make(chan error)
		for i := range maxParts + 1 {
			b := m.NewBatch()
			b.Add(&Record{Pattern: m.Catalog().Patterns()[0], Room: []byte("a"), Offset: int64(i)})
			go func() { sent <- b.Send(context.Background()) }()
		}
		top := make(chan []RoomInfo, 1)
		go func() {
			list, _ := m.TopRooms(3, time.Minute)
			top <- list
		}()
		stopped := make(chan struct{})
		go func() { m.Stop(); close(stopped) }()
		synctest.Wait()
		release()
		<-stopped
		for range maxParts + 1 {
			// A part that waited may have been done, or dropped; none is left to wait for.
			if err := <-sent; err != nil && err != ErrStopped {
				t.Errorf("a send ended with %v", err)
			}
		}
		<-top
		ask() // late
		m.Leave(member.Sub)
		if got, _ := m.TopRooms(3, time.Minute); len(got) != 0 {
			t.Errorf("a stopped table has top rooms: %v", got)
		}
		if answered != len(joins) {
			t.Errorf("%d of %d joins were answered", answered, len(joins))
		}
		for i, j := range joins {
			for _, s := range j.Rooms {
				// Between Stop and the appender's end joins may still be granted, but whole.
				if ok := s.Err == nil && s.Sub != nil || s.Err == ErrStopped && s.Sub == nil; !ok ||
					i == len(joins)-1 && s.Err == nil {
					t.Errorf("join %d was answered %+v", i, s)
				}
			}
		}
		if member.Sub.members != 0 {
			t.Error("the leave was lost")
		}
	})
}

func TestTopRooms(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Shards: 4},
		&Pattern{Match: "a:*", Class: stream, Feed: feed}, &Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	for _, s := range m.shards {
		s.now = 0
	}
	l := m.listen()
	for i := range 500 {
		name := fmt.Sprintf("a:%03d", i)
		for range 1 + i%100 {
			m.join(l, name)
		}
	}
	m.join(l, "o:1", "o:1", "o:1")
	m.put("a:099", 0, 0, "1")
	m.put("o:1", 0, 1, "1")
	m.Start()
	defer m.Stop()
	got, late := m.TopRooms(6, time.Minute)
	if len(got) != 6 || late != nil {
		t.Fatalf("got %d rooms", len(got))
	}
	for i, name := range []string{"a:099", "a:199", "a:299", "a:399", "a:499", "a:098"} {
		want := RoomInfo{Name: name, Class: "stream", Members: 100 - i/5}
		if i == 0 {
			want.Frames, want.Bytes = 1, minChunk+minChunk/perFrame*(frameSize+timeSize)
		}
		if got[i] != want {
			t.Errorf("result %d is %+v, want %+v", i, got[i], want)
		}
	}
	got, _ = m.TopRooms(1000, time.Minute)
	for _, info := range got {
		if info.Name == "o:1" && info != (RoomInfo{Name: "o:1", Class: "private", Members: 3, Frames: 1}) {
			t.Errorf("the private room is %+v", info)
		}
	}
	if n := len(got); n != 501 {
		t.Errorf("%d rooms in all", n)
	}
}

// TestTopRoomsOfOneThatStands: an appender that stands is named, and the others' rooms
// are told; asked again, it is still one question. Then it answers.
func TestTopRoomsOfOneThatStands(t *testing.T) {
	m := newManual(t, Config{Shards: 4}, &Pattern{Match: "a:*", Class: stream, Feed: newOpenFeed(1)})
	l := m.listen()
	for i := range 40 {
		m.join(l, fmt.Sprintf("a:%03d", i))
	}
	m.Start()
	defer m.Stop()
	free, stands := make(chan struct{}), make(chan struct{})
	m.shards[1].box.ask(ask{do: func(*shard) { close(stands); <-free }})
	<-stands
	var some []RoomInfo
	for range 3 {
		list, late := m.TopRooms(1000, 20*time.Millisecond)
		if len(late) == 0 || late[len(late)-1] != "appender 1" && late[0] != "appender 1" {
			t.Errorf("late are %q", late)
		}
		some = list
	}
	if n := m.shards[1].box.asked(); n != 1 {
		t.Errorf("%d questions wait for the one that stands", n)
	}
	if len(some) == 0 || len(some) >= 40 {
		t.Errorf("%d rooms of the others", len(some))
	}
	close(free)
	if all, late := m.TopRooms(1000, time.Minute); len(all) != 40 || late != nil {
		t.Errorf("then %d rooms, late %q", len(all), late)
	}
}

// TestTopRoomsInSteps: a walk of many rooms lets the appender do other work between its
// steps, and begins again where the index has grown.
func TestTopRoomsInSteps(t *testing.T) {
	const many = 200_000
	m := newManual(t, Config{Shards: 1}, &Pattern{Match: "a:*", Class: stream, Feed: newOpenFeed(1)})
	s := m.shards[0]
	tape := newTape()
	add := func(i int) {
		s.rooms.add(&Room{name: fmt.Sprintf("a:%06d", i), pattern: m.Catalog().Patterns()[0], tape: tape})
	}
	for i := range many {
		add(i)
	}
	done := s.topRooms.Ask(func() bool { return true })
	w := &topWalk{n: 2 * many}
	w.step(s)
	if s.box.asked() != 1 || w.at == 0 || w.at == w.buckets {
		t.Fatalf("the first step came to %d of %d", w.at, w.buckets)
	}
	for i, grown := many, w.buckets; len(s.rooms.buckets) == grown; i++ {
		add(i)
	}
	steps := 1
	for waiting := true; waiting; steps++ {
		select {
		case <-done:
			waiting = false
		default:
			w.step(s)
		}
	}
	seen := map[string]bool{}
	for _, r := range s.topRooms.Take() {
		if seen[r.Name] {
			t.Fatalf("%s comes twice", r.Name)
		}
		seen[r.Name] = true
	}
	if len(seen) != s.rooms.n {
		t.Errorf("%d rooms of %d", len(seen), s.rooms.n)
	}
}
