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
	l := m.listen()
	join := func(user string, names ...string) (members []Member) {
		j := &Join{User: user, Done: func(*Join) {}}
		for _, name := range names {
			p, _, _ := m.cfg.Catalog.Resolve(name)
			j.Rooms = append(j.Rooms, Member{Name: name, Pattern: p})
		}
		m.Join(l, j)
		m.answer()
		return j.Rooms
	}
	names := func(of string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("a:%s%d", of, i))
		}
		return list
	}
	failed := func(members []Member, want error) (n int) {
		t.Helper()
		for i := range members {
			if err := members[i].Err; err != nil {
				if n++; err != want {
					t.Fatalf("%s: %v", members[i].Name, err)
				}
			}
		}
		return n
	}
	junk := join("x", names("junk", 25)...)
	if n := failed(junk, ErrEmptyRooms); n != 15 {
		t.Fatalf("%d of 25 were refused", n)
	}
	if n := failed(join("x", names("more", 5)...), ErrEmptyRooms); n != 5 {
		t.Errorf("%d of 5 more were refused", n)
	}
	// Others are not hindered, nor is the user in rooms that are there.
	if n := failed(join("y", names("y", 8)...), nil); n != 0 {
		t.Errorf("another user was refused %d rooms", n)
	}
	off := int64(0)
	put := func(name string) { m.put(name, 0, off, "1"); off++ }
	for i := range 30 {
		put(fmt.Sprintf("a:real%d", i))
	}
	if n := failed(join("x", names("real", 30)...), nil); n != 0 || m.Stats().Refused != 0 {
		t.Errorf("%d rooms with data were refused, %d records", n, m.Stats().Refused)
	}
	// All users together have as many of a pattern as it may have rooms.
	failed(join("z", names("z", 10)...), nil)
	if n := failed(join("u", names("u", 10)...), ErrTooManyRooms); n != 8 {
		t.Errorf("%d of 10 were refused in all", n)
	}
	// The pattern is full, yet a room that somebody is in gets its records; its user pays on.
	for i := range junk {
		if junk[i].Err != nil {
			continue
		}
		if put(junk[i].Name); m.room(junk[i].Name).Head() != 1 || m.Stats().Refused != 0 {
			t.Error("a member was refused a record")
		}
		break
	}
	put("a:other")
	if n := m.Stats().Refused; n != 1 {
		t.Errorf("%d records were refused", n)
	}
	// A user that leaves them no longer has them, and is forgotten.
	for i := range junk {
		if junk[i].Err == nil {
			m.leave(junk[i].Sub)
		}
	}
	m.pass(time.Minute)
	m.sweep()
	if n := m.payers.n["x"]; n != 0 || len(m.payers.n) != 3 {
		t.Errorf("users are %v", m.payers.n)
	}
	if n := failed(join("x", names("junk", 10)...), nil); n != 0 {
		t.Errorf("%d were refused that the user has left", n)
	}
	// Nobody pays for the private room that one has; it is empty until its first record.
	s := join("1", "o:1")[0]
	empty := m.Stats().Empty
	if m.payers.n["1"] != 0 || empty == 0 {
		t.Errorf("users are %v, %d rooms are empty", m.payers.n, empty)
	}
	if put("o:1"); m.Stats().Empty != empty-1 {
		t.Errorf("%d rooms are empty, %d before the record", m.Stats().Empty, empty)
	}
	m.leave(s.Sub)
	if s = join("2", "o:2")[0]; m.room("o:2") == nil {
		t.Error("there is no room")
	}
	m.leave(s.Sub)
	if m.room("o:2") != nil || m.room("o:1") == nil {
		t.Error("the empty room is there, or the other is not")
	}
	m.check()
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
		j := &Join{User: user, Done: func(*Join) {}, Rooms: []Member{{Name: room, Pattern: p}}}
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
