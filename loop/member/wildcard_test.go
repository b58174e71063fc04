package member_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/loop/member"
	"tapecast/rooms"
)

// world is a table with one topic of one partition, and what a loop needs for wildcards.
type world struct {
	t       *testing.T
	table   *rooms.Table
	pattern *rooms.Pattern
	batch   *rooms.Batch
	listen  *rooms.Listener
	rules   member.Rules
	off     int64
	found   chan *rooms.Found
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, found: make(chan *rooms.Found, 100)}
	feed := rooms.NewFeed("topic")
	feed.Open("e1", 1)
	w.pattern = &rooms.Pattern{Match: "a:*", Class: &rooms.Class{Name: "stream", RetainAge: time.Hour}, Feed: feed}
	other := &rooms.Pattern{Match: "b:*", Class: w.pattern.Class, Feed: feed}
	catalog, err := rooms.NewCatalog([]*rooms.Pattern{w.pattern, other})
	if err != nil {
		t.Fatal(err)
	}
	if w.table, err = rooms.New(rooms.Config{Catalog: catalog, Feeds: []*rooms.Feed{feed}}); err != nil {
		t.Fatal(err)
	}
	w.table.Start()
	t.Cleanup(w.table.Stop)
	w.batch = w.table.NewBatch()
	w.listen = w.table.Listen(func([]*rooms.Sub) {})
	w.listen.Found = func(f *rooms.Found) { w.found <- f }
	w.rules = member.Rules{
		Table: w.table, Now: func() time.Duration { return 0 }, Recalls: true, Counts: new(member.Counts),
	}
	return w
}

// publish appends a record to each of the rooms, and waits until they are on the tapes.
func (w *world) publish(names ...string) {
	w.t.Helper()
	for _, name := range names {
		p, _, _ := w.table.Catalog().Resolve(name)
		w.batch.Add(&rooms.Record{Pattern: p, Room: []byte(name), Offset: w.off, Time: 1, Value: []byte("1")})
		w.off++
	}
	w.batch.Progress(w.pattern.Feed, 0, w.off-1)
	if err := w.batch.Send(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.table.TopRooms(1, time.Minute)
}

func (w *world) ask(j *rooms.Join) []rooms.Member {
	done := make(chan struct{})
	j.Done = func(*rooms.Join) { close(done) }
	w.table.Join(w.listen, j)
	<-done
	return j.Rooms
}

func (w *world) join(names ...string) []rooms.Member {
	j := &rooms.Join{}
	for _, name := range names {
		p, _, _ := w.table.Catalog().Resolve(name)
		j.Rooms = append(j.Rooms, rooms.Member{Name: name, Pattern: p})
	}
	return w.ask(j)
}

// wildcard returns a wildcard that watches, for a client that was at since; nil: it starts now.
func (w *world) wildcard(most int, since *rooms.Positions) *member.Wildcard {
	x := &member.Wildcard{ID: 1, Name: "a:*", Watch: rooms.Watch{
		Pattern: w.pattern, Prefix: "a:", Most: most, From: since,
	}}
	w.ask(&rooms.Join{Watches: []*rooms.Watch{&x.Watch}})
	return x
}

// enter makes members of what the wildcard was given.
func (w *world) enter(x *member.Wildcard) (members []member.Member) {
	for _, s := range x.Given {
		m := member.New(s.Sub, s.At, rooms.Plain)
		m.Wildcard = x.ID
		members = append(members, m)
		x.Joined(s.Name, s.Positions, nil)
	}
	x.Rooms = len(members)
	w.rules.Settle(x, nil, nil)
	return members
}

func at(offset int64) *rooms.Positions {
	return &rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Offset: offset}}}
}

// is compares positions by their JSON.
func (w *world) is(what string, got rooms.Positions, want string) {
	w.t.Helper()
	if s := string(got.AppendJSON(nil)); s != want {
		w.t.Errorf("%s: got positions %s, want %s", what, s, want)
	}
}

func none(string) bool { return false }

// given describes what a wildcard begins with.
func given(x *member.Wildcard) string {
	var list []string
	for _, s := range x.Given {
		since := "now"
		if s.Since != nil {
			since = string(s.Since.AppendJSON(nil))
		}
		list = append(list, fmt.Sprintf("%s %s %v", s.Name, since, s.TooOld))
	}
	return strings.Join(list, ", ")
}

func TestWildcardOverlaps(t *testing.T) {
	w := newWorld(t)
	f := func(a, b string, want bool) {
		t.Helper()
		x := &member.Wildcard{Watch: rooms.Watch{Prefix: a}}
		y := &member.Wildcard{Watch: rooms.Watch{Prefix: b}}
		if x.Overlaps(y) != want || y.Overlaps(x) != want {
			t.Errorf("%q and %q: want %v", a, b, want)
		}
	}
	f("a:", "a:", true)
	f("a:", "a:x", true)
	f("a:x", "a:y", false)
	x := w.wildcard(0, nil)
	if other := w.join("b:1")[0].Sub.Room(); !x.Matches(w.pattern, "a:1") || x.Matches(other.Pattern(), "a:1") ||
		x.Matches(w.pattern, "b:1") {
		t.Error("it stands for other rooms")
	}
}

// TestWildcardMissed: what the topic is asked before a wildcard continues from a position.
func TestWildcardMissed(t *testing.T) {
	w := newWorld(t)
	early := w.wildcard(0, at(3))
	if ask, known := w.rules.Missed(early); ask != nil || known || early.NotNow() == nil {
		t.Errorf("before the topic is read: %v, %v, %v", ask, known, early.NotNow())
	}
	w.table.Unwatch(&early.Watch)
	w.publish("b:1", "a:gone") // nobody is in the second
	w.join("a:1")
	w.publish("a:1", "a:1") // 2 and 3
	f := func(since *rooms.Positions, want string) {
		t.Helper()
		x := w.wildcard(0, since)
		defer w.table.Unwatch(&x.Watch)
		ask, known := w.rules.Missed(x)
		got := fmt.Sprint(known, " ", x.Lost)
		if ask != nil {
			got = fmt.Sprintf("%s %v to %v %q %v %v", ask.Room, ask.After, ask.UpTo, ask.Lost, known, x.Lost)
		}
		if got != want {
			t.Errorf("since %v: got %s, want %s", since, got, want)
		}
	}
	f(nil, "false <nil>")
	f(at(3), "false <nil>") // nothing came since
	f(at(2), "true <nil>")  // all appenders know
	f(at(0), `a: [{0 0}] to [{0 3}] "" false <nil>`)
	f(at(-7), `a: [{0 -1}] to [{0 3}] "" false <nil>`)
	f(at(9), `a: [{0 9}] to [{0 3}] "" false <nil>`)
	f(&rooms.Positions{Epoch: "e0", Offsets: []rooms.Pos{{Offset: 1}}},
		`a: [{0 1}] to [{0 3}] "they are of epoch \"e0\", and the topic's is \"e1\"" false <nil>`)
	f(&rooms.Positions{Epoch: "e1", Offsets: []rooms.Pos{{Offset: 1}, {Partition: 1}}},
		"false not now: the gateway does not know partition 1 of its rooms' topic yet")
	w.rules.Recalls = false
	f(at(0), "false position too old: the gateway no longer holds what came after it")
}

// TestWildcardGive: what a wildcard begins with, after the topic has said which rooms have messages
// since.
func TestWildcardGive(t *testing.T) {
	w := newWorld(t)
	w.join("a:1", "a:2", "b:1")
	w.publish("a:1", "a:2", "a:gone", "a:1") // 0 to 3
	f := func(since *rooms.Positions, names []string, err error, named func(string) bool, want, settled string) {
		t.Helper()
		x := w.wildcard(0, since)
		defer w.table.Unwatch(&x.Watch)
		if ask, _ := w.rules.Missed(x); ask != nil {
			x.Named(names, err)
		}
		again := w.ask(&rooms.Join{Rooms: w.rules.Again(x, named)})
		w.rules.Give(x, again, named)
		if got := given(x); got != want {
			t.Errorf("since %v: got %s, want %s", since, got, want)
		}
		w.enter(x)
		w.is("settled", x.At, settled)
	}
	const e1 = `{"epoch":"e1","0":1}`
	f(nil, nil, nil, none, "a:1 now <nil>, a:2 now <nil>", `{"epoch":"e1","0":3}`)
	f(at(1), []string{"a:gone", "a:1", "b:1"}, nil, none,
		"a:1 "+e1+" <nil>, a:2 "+e1+" <nil>, a:gone "+e1+" <nil>", e1)
	f(at(1), []string{"a:gone", "a:1"}, nil, func(room string) bool { return room != "a:2" }, "a:2 "+e1+" <nil>", e1)
	lost := errors.New("lost")
	f(at(1), nil, lost, none, "a:1 "+e1+" lost, a:2 "+e1+" lost", `{"epoch":"e1","0":3}`)
}

// TestWildcardPosition: the position follows the tapes, less what the client lacks.
func TestWildcardPosition(t *testing.T) {
	w := newWorld(t)
	w.join("a:1", "a:2")
	w.publish("a:1", "a:2") // 0 and 1
	x := w.wildcard(0, nil)
	w.rules.Give(x, nil, none)
	members := w.enter(x)
	f := func(want string) {
		t.Helper()
		w.rules.Advance(x, members, nil)
		w.is("advanced", x.At, want)
	}
	f(`{"epoch":"e1","0":1}`)
	w.publish("b:1", "a:2", "a:2") // 2 to 4
	f(`{"epoch":"e1","0":2}`)
	i := slices.IndexFunc(members, func(m member.Member) bool { return m.Room().Name() == "a:2" })
	level := member.New(members[i].Sub(), members[i].Room().Head(), rooms.Plain)
	level.Wildcard = x.ID
	members[i] = level
	f(`{"epoch":"e1","0":4}`)
	w.publish("a:new") // 5
	f(`{"epoch":"e1","0":4}`)
	s := &(<-w.found).Member
	if ok, full := x.Wants(s.Name); !ok || full {
		t.Errorf("it does not want %s: %v %v", s.Name, ok, full)
	}
	if wish := x.Late(s); wish.Found != s || wish.Resume != nil || wish.Past != nil || wish.Wildcard != "a:*" {
		t.Errorf("it wishes for %+v", wish)
	}
	members = append(members, member.New(s.Sub, s.Sub.Room().Head(), rooms.Plain))
	x.Taken++
	f(`{"epoch":"e1","0":5}`)

	// A room that could not be joined holds it, until the client joins the room by name.
	x.Joined("a:3", rooms.Positions{}, errors.New("refused"))
	w.publish("b:1") // 6
	f(`{"epoch":"e1","0":5}`)
	if ok, _ := x.Wants("a:3"); ok {
		t.Error("it wants a room that was refused")
	}
	three := w.join("a:3")[0]
	members = append(members, member.New(three.Sub, three.At, rooms.Plain))
	f(`{"epoch":"e1","0":6}`)
	x.Full = true
	w.publish("b:1")
	f(`{"epoch":"e1","0":6}`)
}

// TestWildcardMost: a wildcard takes no more rooms than it may.
func TestWildcardMost(t *testing.T) {
	w := newWorld(t)
	w.join("a:1", "a:2")
	w.publish("a:1", "a:2")
	if x := w.wildcard(1, at(0)); !x.TooMany() || w.rules.Again(x, none) != nil {
		t.Error("it has more rooms than it may")
	}
	x := w.wildcard(3, nil)
	w.rules.Give(x, nil, none)
	w.enter(x)
	f := func(more int, want bool) {
		t.Helper()
		if x.Rooms += more; x.TooMany() {
			t.Errorf("too many of %d", x.Rooms)
		}
		if ok, full := x.Wants("a:3"); !ok || full != want {
			t.Errorf("with %d rooms: got %v %v, want %v", x.Rooms, ok, full, want)
		}
	}
	f(0, false)
	f(1, true)
	f(-1, false)
}

// TestWildcardLate: a client that comes from a node that was ahead has some of a room that appears.
func TestWildcardLate(t *testing.T) {
	w := newWorld(t)
	w.publish("b:1") // 0
	x := w.wildcard(0, at(2))
	if ask, _ := w.rules.Missed(x); ask == nil {
		t.Fatal("the topic is not asked")
	}
	x.Named(nil, nil)
	w.rules.Give(x, nil, none)
	w.enter(x)
	w.publish("a:new") // 1
	s := &(<-w.found).Member
	wish := x.Late(s)
	how := wish.Resume
	if how == nil || !how.Ahead || how.Until != s.At || how.Have[0].Offset != 2 || wish.Past != nil {
		t.Errorf("it continues by %+v", wish)
	}
	w.is("told", wish.Found.Positions, `{"epoch":"e1","0":2}`)
	w.is("of others", s.Positions, `{"epoch":"e1","0":0}`)
	if !x.Judged(&rooms.Member{Since: at(2)}) || x.Judged(&rooms.Member{Since: at(1)}) {
		t.Error("it has paid for another range")
	}
}
