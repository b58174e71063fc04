package rooms

import (
	"fmt"
	"testing"
	"time"
)

// TestEmptyRooms: names that nobody feeds are bounded for each user, and take no space
// from a record's room.
func TestEmptyRooms(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Shards: 4, EmptyRooms: 10},
		&Pattern{Match: "a:*", Class: &Class{Name: "kept", Keep: true}, Feed: feed, MaxRooms: 30},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	e := &emptying{manual: m, l: m.listen()}
	junk := e.users("x", "junk", 25)
	e.failed(junk, ErrEmptyRooms, 15)
	e.failed(e.users("x", "more", 5), ErrEmptyRooms, 5)
	// Others are not hindered, nor is the user in rooms that are there.
	e.failed(e.users("y", "y", 8), nil, 0)
	for i := range 30 {
		e.feeds(fmt.Sprintf("a:real%d", i))
	}
	e.failed(e.users("x", "real", 30), nil, 0)
	if n := m.Stats().Refused; n != 0 {
		t.Errorf("%d records of rooms with data were refused", n)
	}
	// All users together have as many of a pattern as it may have rooms.
	e.failed(e.users("z", "z", 10), nil, 0)
	e.failed(e.users("u", "u", 10), ErrTooManyRooms, 8)
	e.fullOfJunk(junk)
	e.leftJunk(junk)
	e.ownRoomIsFree()
	m.check()
}

// TestEmptyRoomsOfPayer: a join may bring a number of its own, for all of the user's joins from then on.
func TestEmptyRoomsOfPayer(t *testing.T) {
	m := newManual(t, Config{Shards: 2, EmptyRooms: 2},
		&Pattern{Match: "a:*", Class: &Class{Name: "kept", Keep: true}, Feed: newOpenFeed(1)})
	l, n := m.listen(), 0
	f := func(most, ask, want int) {
		t.Helper()
		j := &Join{Payer: Payer{User: "x", EmptyRooms: most}, Done: func(*Join) {}}
		for range ask {
			n++
			j.Rooms = append(j.Rooms, Member{Name: fmt.Sprint("a:", n), Pattern: m.Catalog().Patterns()[0]})
		}
		m.Join(l, j)
		m.answer()
		got := 0
		for _, r := range j.Rooms {
			if r.Err == nil {
				got++
			}
		}
		if got != want {
			t.Errorf("at most %d: %d of %d rooms, want %d", most, got, ask, want)
		}
	}
	f(3, 5, 3)
	f(0, 5, 0) // as for users that bring none
	f(5, 5, 2)
	f(-1, 50, 50)
	f(5, 1, 0)
	m.check()
}

// emptying is a table whose rooms are joined by users before anybody feeds them.
type emptying struct {
	*manual
	l   *Listener
	off int64
}

// enter lets a user join rooms.
func (e *emptying) enter(user string, names ...string) (members []Member) {
	j := &Join{Payer: Payer{User: user}, Done: func(*Join) {}}
	for _, name := range names {
		p, _, _ := e.cfg.Catalog.Resolve(name)
		j.Rooms = append(j.Rooms, Member{Name: name, Pattern: p})
	}
	e.Join(e.l, j)
	e.answer()
	return j.Rooms
}

// users lets a user join n rooms whose names begin alike.
func (e *emptying) users(user, of string, n int) []Member {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("a:%s%d", of, i))
	}
	return e.enter(user, list...)
}

// failed wants so many of the joins to be refused, for that reason.
func (e *emptying) failed(members []Member, why error, want int) {
	e.t.Helper()
	n := 0
	for i := range members {
		if err := members[i].Err; err != nil {
			if n++; err != why {
				e.t.Fatalf("%s: %v", members[i].Name, err)
			}
		}
	}
	if n != want {
		e.t.Fatalf("%d of %d were refused, want %d", n, len(members), want)
	}
}

func (e *emptying) feeds(name string) {
	e.t.Helper()
	e.put(name, 0, e.off, "1")
	e.off++
}

// fullOfJunk: the pattern is full, yet a room that somebody is in gets its records; its user pays on.
func (e *emptying) fullOfJunk(junk []Member) {
	e.t.Helper()
	for i := range junk {
		if junk[i].Err != nil {
			continue
		}
		if e.feeds(junk[i].Name); e.room(junk[i].Name).Head() != 1 || e.Stats().Refused != 0 {
			e.t.Error("a member was refused a record")
		}
		break
	}
	e.feeds("a:other")
	if n := e.Stats().Refused; n != 1 {
		e.t.Errorf("%d records were refused", n)
	}
}

// leftJunk: a user that leaves them no longer has them, and is forgotten.
func (e *emptying) leftJunk(junk []Member) {
	e.t.Helper()
	for i := range junk {
		if junk[i].Err == nil {
			e.leave(junk[i].Sub)
		}
	}
	e.pass(time.Minute)
	e.sweep()
	if n := e.payers.n["x"]; n != 0 || len(e.payers.n) != 3 {
		e.t.Errorf("users are %v", e.payers.n)
	}
	e.failed(e.users("x", "junk", 10), nil, 0)
}

// ownRoomIsFree: nobody pays for the private room that one has; it is empty until its first record.
func (e *emptying) ownRoomIsFree() {
	e.t.Helper()
	s := e.enter("1", "o:1")[0]
	empty := e.Stats().Empty
	if e.payers.n["1"] != 0 || empty == 0 {
		e.t.Errorf("users are %v, %d rooms are empty", e.payers.n, empty)
	}
	if e.feeds("o:1"); e.Stats().Empty != empty-1 {
		e.t.Errorf("%d rooms are empty, %d before the record", e.Stats().Empty, empty)
	}
	e.leave(s.Sub)
	if s = e.enter("2", "o:2")[0]; e.room("o:2") == nil {
		e.t.Error("there is no room")
	}
	e.leave(s.Sub)
	if e.room("o:2") != nil || e.room("o:1") == nil {
		e.t.Error("the empty room is there, or the other is not")
	}
}

// TestRefusedRecords: a record that gets no room is reported to who sent it.
func TestRefusedRecords(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Shards: 2},
		&Pattern{Match: "a:*", Class: &Class{Name: "kept", Keep: true}, Feed: feed, MaxRooms: 4})
	p := m.Catalog().Patterns()[0]
	var got []string
	m.batch.Refused = func(r *Refused) {
		got = append(got, fmt.Sprint(r.Pattern.Match, " ", string(r.Room), " ", r.Partition, ":",
			r.Offset, " ", r.Origin))
	}
	for i := range int64(6) {
		rec := Record{Pattern: p, Room: fmt.Appendf(nil, "a:%d", i), Offset: i, Value: []byte("1")}
		if m.batch.Crowded(p) != (i >= 4) {
			t.Errorf("with %d rooms of 4: crowded %v", i, m.batch.Crowded(p))
		}
		if m.batch.Crowded(p) {
			rec.Origin = i * 100
		}
		m.batch.Add(&rec)
		if !m.batch.Crowded(p) != (i < 2) { // it may make one, and so may another batch's
			t.Errorf("with %d rooms of 4 and one on the way: crowded %v", i, m.batch.Crowded(p))
		}
		m.send()
	}
	if want := "[a:* a:4 0:4 400 a:* a:5 0:5 500]"; fmt.Sprint(got) != want || m.Stats().Refused != 2 {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestGuestRooms: clients without a user have half of a pattern's rooms without data, so that users find
// some left.
func TestGuestRooms(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{Shards: 2, EmptyRooms: 4, Guests: "guest "},
		&Pattern{Match: "a:*", Class: &Class{Name: "kept", Keep: true}, Feed: feed, MaxRooms: 10})
	l := m.listen()
	joined := map[string]*Sub{}
	join := func(user, room string, want error) {
		t.Helper()
		p, _, _ := m.cfg.Catalog.Resolve(room)
		j := &Join{Payer: Payer{User: user}, Done: func(*Join) {}, Rooms: []Member{{Name: room, Pattern: p}}}
		m.Join(l, j)
		m.answer()
		joined[room] = j.Rooms[0].Sub
		if err := j.Rooms[0].Err; err != want {
			t.Errorf("%s joins %s: %v, want %v", user, room, err, want)
		}
	}
	for i := range 4 {
		join("guest 1", fmt.Sprint("a:1", i), nil)
	}
	join("guest 1", "a:14", ErrEmptyRooms)
	join("guest 2", "a:20", nil)
	join("guest 2", "a:21", ErrGuestRooms)
	join("guest 2", "a:10", nil) // it is there
	for i := range 4 {
		join("x", fmt.Sprint("a:x", i), nil)
	}
	m.put("a:10", 0, 0, "1") // a room with data is nobody's
	join("guest 2", "a:21", nil)
	m.leave(joined["a:11"])
	m.pass(time.Minute)
	m.sweep()
	join("guest 3", "a:30", nil)
	join("guest 3", "a:31", ErrGuestRooms)
	join("y", "a:y", nil)
	join("guest 3", "a:31", ErrTooManyRooms)
	m.check()
}
