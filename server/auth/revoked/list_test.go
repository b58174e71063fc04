package revoked

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
)

const ms = 1_700_000_000_000 // a time, and ms/1000 the same in seconds

// feed gives a list records of partition 0, one after the other.
type feed struct {
	*List
	at int64
}

func newFeed(most Bounds) (*feed, *bytes.Buffer) {
	var b bytes.Buffer
	return &feed{List: NewList(most, slog.New(slog.NewTextHandler(&b, nil)))}, &b
}

// put gives it a record; "": a tombstone.
func (f *feed) put(key, value string) { f.from(0, f.at+1, key, value) }

func (f *feed) from(part int32, at int64, key, value string) {
	f.at = max(f.at, at)
	v := []byte(value)
	if value == "" {
		v = nil
	}
	f.Record(part, f.at, at, true, []byte(key), v)
}

func read(most Bounds) *feed {
	f, _ := newFeed(most)
	f.Begin(false)
	f.Whole()
	return f
}

func TestJudge(t *testing.T) {
	l := read(Bounds{})
	f := func(user, jti string, issued int64, want error) {
		t.Helper()
		if got := l.Judge(user, l.Mark(jti, issued)); got != want {
			t.Errorf("%s %s %d: %v, want %v", user, jti, issued, got, want)
		}
	}
	const at = ms / 1000
	f("42", "a", at, nil)
	l.put("user:42", `{}`)
	f("42", "a", at, ErrUser)
	f("42", "", 1<<40, ErrUser)
	f("43", "a", at, nil)
	l.put("user:42", fmt.Sprintf(`{"before":%d,"why":"lost phone"}`, ms))
	f("42", "a", at-1, ErrToken)
	f("42", "a", 0, ErrToken) // it does not say when it was issued
	f("42", "a", at, nil)
	l.put("user:42", fmt.Sprintf(`{"before":%d}`, ms+1)) // within that second
	f("42", "a", at, ErrToken)
	f("42", "a", at+1, nil)
	l.put("user:42", "")
	f("42", "a", 0, nil)

	l.put("jti:a", `{}`)
	f("42", "a", 1<<40, ErrToken)
	f("42", "b", at, nil)
	f("42", "", at, nil)
	l.put("jti:a", fmt.Sprintf(`{"before":%d}`, ms))
	f("42", "a", at-1, ErrToken)
	f("42", "a", at, nil)
	l.put("jti:a", "")
	f("42", "a", 0, nil)

	l.put("*", fmt.Sprintf(`{"before":%d}`, ms))
	f("43", "", at-1, ErrToken)
	f("43", "", at, nil)
	l.put("user:7:stop", `{}`) // all after the first colon
	f("7:stop", "", at, ErrUser)
	f("7", "", at, nil)
	l.put("*", "")
	f("43", "", 0, nil)
	if s := l.Stats(); s.Entries != 1 || s.Bad != 0 || s.BadRecords != 0 {
		t.Errorf("%+v", s)
	}

	var none *List
	if none.Judge("42", none.Mark("a", 1)) != nil || none.Stats() != (Stats{}) {
		t.Error("without a topic something is revoked")
	}
}

// TestUnread: before the topic was read whole nobody is let in.
func TestUnread(t *testing.T) {
	l, _ := newFeed(Bounds{})
	f := func(want error) {
		t.Helper()
		if got := l.Judge("42", Mark{}); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(ErrUnread)
	l.Begin(false)
	l.put("user:42", `{}`)
	f(ErrUnread)
	l.Begin(false) // the reading was broken off
	f(ErrUnread)
	l.Whole()
	f(nil)
	if l.Whole(); !l.Stats().Read {
		t.Error("not read")
	}
}

// TestReadAgain: while the topic is read again, old records neither lift nor revoke anything in
// passing, and new ones count at once.
func TestReadAgain(t *testing.T) {
	l := read(Bounds{})
	judge := func(user string, want error) {
		t.Helper()
		if got := l.Judge(user, Mark{}); got != want {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
	l.put("user:in", `{}`)
	l.put("user:in", "")
	l.put("user:out", `{}`)
	l.Begin(false)
	old := func(offset int64, key, value string) {
		v := []byte(value)
		if value == "" {
			v = nil
		}
		l.Record(0, offset, offset, false, []byte(key), v)
	}
	old(1, "user:in", `{}`)
	judge("in", nil)
	old(2, "user:out", "")
	judge("out", ErrUser)
	l.put("user:new", `{}`)
	judge("new", ErrUser)
	old(3, "user:in", "")
	old(4, "user:out", `{}`)
	l.Whole()
	judge("in", nil)
	judge("out", ErrUser)
	judge("new", ErrUser)

	// It is another topic now: what was revoked stays, until its tombstone.
	l.Begin(true)
	l.Whole()
	judge("out", ErrUser)
	l.put("user:out", "")
	judge("out", nil)
	l.Begin(false) // the same topic, from which nothing has gone: it is the truth
	l.Whole()
	judge("new", nil)
	if s := l.Stats(); s.Remade != 1 {
		t.Errorf("%+v", s)
	}
}

// TestPartitions: of records of one key in two partitions the newer counts, whichever comes first.
func TestPartitions(t *testing.T) {
	l := read(Bounds{})
	f := func(want error) {
		t.Helper()
		if got := l.Judge("42", Mark{}); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	l.from(1, 200, "user:42", `{}`)
	l.from(0, 100, "user:42", "") // lifted before that
	f(ErrUser)
	l.from(0, 200, "user:42", "") // as old: the stricter
	f(ErrUser)
	l.from(0, 201, "user:42", "")
	f(nil)
	l.from(1, 150, "user:43", `{}`)
	l.from(1, 90, "user:43", "") // in one partition the last one, whatever its time
	f(nil)

	l.Begin(false) // partitions are read in any order: the tombstone first
	rec := func(part int32, ms int64, value []byte) { l.Record(part, 0, ms, false, []byte("user:42"), value) }
	rec(1, 200, nil)
	rec(0, 100, []byte(`{}`))
	l.Whole()
	f(nil)
	l.from(0, 300, "user:42", `{}`)
	f(ErrUser)

	// What was kept over a cut is not undone by an older record of its own partition.
	l.Begin(true)
	rec(0, 250, nil)
	l.Whole()
	f(ErrUser)
	l.Begin(true)
	rec(0, 301, nil)
	l.Whole()
	f(nil)
}

// TestRevocationsBound: what does not fit is not silently left out, and is asked for again when
// there is room.
func TestRevocationsBound(t *testing.T) {
	l := read(Bounds{Entries: 20, Bytes: 100})
	for i := range 25 {
		l.put(fmt.Sprintf("jti:%d", i), "{}")
	}
	if s := l.Stats(); s.Entries != 20 || s.Lost != 5 {
		t.Errorf("%+v", s)
	}
	l.put("jti:1", fmt.Sprintf(`{"before":%d}`, ms)) // it is there
	l.put("*", fmt.Sprintf(`{"before":%d}`, ms))     // and this needs no room
	if s := l.Stats(); s.Entries != 21 || s.Lost != 5 || l.Again() {
		t.Errorf("%+v", s)
	}
	for i := range 10 {
		l.put(fmt.Sprintf("jti:%d", i), "")
	}
	if !l.Again() || l.Again() {
		t.Error("it is not to be read again, once a minute")
	}
	l = read(Bounds{Entries: 20, Bytes: 100})
	for i := range 12 {
		l.put(fmt.Sprintf("user:%010d", i), "{}")
		l.put(fmt.Sprintf("user:%010d", i), "{}")
	}
	if s := l.Stats(); s.Entries != 10 || s.Lost != 4 || l.now.bytes != 100 {
		t.Errorf("%+v, %d bytes", s, l.now.bytes)
	}
	for i := range 12 {
		l.put(fmt.Sprintf("user:%010d", i), "")
	}
	if l.now.bytes != 0 || l.Stats().Entries != 0 {
		t.Errorf("%d bytes are left", l.now.bytes)
	}
}

// TestChanged: only what revokes more makes connections be judged again.
func TestChanged(t *testing.T) {
	l := read(Bounds{})
	f := func(key, value string, want bool) {
		t.Helper()
		l.put(key, value)
		select {
		case <-l.Changed():
			if !want {
				t.Errorf("%s %s: changed", key, value)
			}
		default:
			if want {
				t.Errorf("%s %s: not changed", key, value)
			}
		}
	}
	<-l.Changed() // it was read
	f("user:42", fmt.Sprintf(`{"before":%d}`, ms), true)
	f("user:42", fmt.Sprintf(`{"before":%d}`, ms), false)
	f("user:42", fmt.Sprintf(`{"before":%d}`, ms-1), false)
	f("user:42", `{}`, true)
	f("user:42", "", false)
	f("user:43", "x", true)
	f("nobody", "{}", false)
}

// TestJudgeWhileItChanges is for the race detector.
func TestJudgeWhileItChanges(t *testing.T) {
	l := read(Bounds{})
	var judges sync.WaitGroup
	for range 4 {
		judges.Go(func() {
			for range 2000 {
				if l.Judge("out", l.Mark("a", 1)) == nil {
					t.Error("let in")
					return
				}
				l.Stats()
			}
		})
		l.put("user:out", "{}")
	}
	for i := range 2000 {
		l.put(fmt.Sprint("user:", i), "{}")
		if i%500 == 0 {
			l.Begin(true)
			l.Whole()
		}
	}
	judges.Wait()
}
