package rooms

import (
	"testing"
	"time"
)

func TestRoomsGoOnceEmptyAndUnlistened(t *testing.T) {
	feed := newOpenFeed(1)
	m := newManual(t, Config{},
		&Pattern{Match: "a", Class: &Class{Name: "a", RetainAge: 10 * time.Second}, Feed: feed},
		&Pattern{Match: "k", Class: &Class{Name: "k", RetainAge: 10 * time.Second, Keep: true}, Feed: feed},
		&Pattern{Match: "o:{owner}", Class: &Class{Name: "o", Owner: "{sub}", RetainAge: 10 * time.Second}, Feed: feed})
	l := m.listen()
	names := []string{"a", "k", "o:1"}
	f := func(after time.Duration, want ...string) {
		t.Helper()
		m.pass(after)
		m.sweep()
		n := 0
		for _, name := range want {
			if m.room(name) == nil {
				t.Errorf("%s is gone", name)
			}
		}
		for _, name := range names {
			if m.room(name) != nil {
				n++
			}
		}
		if n != len(want) {
			t.Errorf("%d rooms are there, want %q", n, want)
		}
	}
	members := m.join(l, names...)
	off := int64(0)
	all := func() {
		t.Helper()
		for _, name := range names {
			m.put(name, 0, off, "1")
			off++
		}
	}
	all()
	f(time.Hour, names...) // empty, but listened to
	all()
	for _, s := range members {
		m.leave(s.Sub)
	}
	f(9*time.Second, names...)
	all()                              // a room that has only just been left still takes what comes
	f(time.Second+1e6, names[1:]...)   // and then is skipped
	f(9*time.Second-1e6, names[1:]...) // others keep their frames to the end of their age
	f(1e6)
	if got := m.Stats(); got.Rooms != 0 || got.TapeBytes != 0 || got.Listened != 0 {
		t.Errorf("something is left: %+v", got)
	}

	all()
	f(0, names[1:]...)
	members = m.join(l, names...)
	all()
	m.leave(members[0].Sub)
	f(5*time.Second, names...)
	m.leave(m.join(l, "a")[0].Sub) // its time begins again
	f(5*time.Second, names...)
	f(5*time.Second, names[1:]...)
	m.leave(members[1].Sub)
	m.leave(members[2].Sub)
	f(10 * time.Second)

	// A room that has had nothing is kept for nobody.
	m.leave(m.join(l, "a")[0].Sub)
	f(0)
}
