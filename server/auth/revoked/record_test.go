package revoked

import (
	"fmt"
	"strings"
	"testing"
)

// TestBadRecords: a record that is not understood is counted, named, and strict where it can be.
func TestBadRecords(t *testing.T) {
	l, log := newFeed(Bounds{})
	l.Begin(false)
	l.Whole()
	f := func(key, value string, refused error, words string) {
		t.Helper()
		was := l.Stats()
		l.put(key, value)
		s := l.Stats()
		if s.BadRecords != was.BadRecords+1 || s.Bad != 1 || !strings.Contains(s.BadText, words) {
			t.Errorf("%s %.50s: %+v, want %q", key, value, s, words)
		}
		if got := l.Judge("42", l.Mark("a", ms/1000)); got != refused {
			t.Errorf("%s %.50s: %v, want %v", key, value, got, refused)
		}
		l.put(key, "")
		if s := l.Stats(); s.Bad != 0 || s.Entries != 0 || s.BadText != "" {
			t.Errorf("%s %.50s: %+v after its tombstone", key, value, s)
		}
	}
	const seconds = "before is not a whole number of milliseconds"
	f("user:42", `{`, ErrUser, `{"before":1700000000000}; what it names is refused altogether`)
	f("user:42", `null`, ErrUser, "not a JSON object")
	f("user:42", `{"before":null}`, ErrUser, seconds)
	f("user:42", `{"before":"1700000000000"}`, ErrUser, seconds)
	f("user:42", `{"before":1700000000}`, ErrUser, seconds) // seconds
	f("user:42", `{"before":1700000000000000}`, ErrUser, seconds)
	f("user:42", `{"before":-1}`, ErrUser, seconds)
	f("user:42", `{"before":1700000000000.5}`, ErrUser, seconds)
	f("user:42", `{"before":1,"before":1700000000000}`, ErrUser, "a field twice")
	f("user:42", "{\"why\":\"\xff\"}", ErrUser, "not a JSON object")
	f("user:42", strings.Repeat(" ", maxValue)+"{}", ErrUser, "longer than")
	f("user:42", "{\"why\":\"\\n\x00\"}", ErrUser, "not a JSON object")
	f("user:42", `{"why":nan}`, ErrUser, "not a JSON object")
	f("user:42", strings.Repeat("[", 1000), ErrUser, "not a JSON object")
	f("jti:a", `[]`, ErrToken, `key "jti:a", partition 0, offset`)
	f("*", `{}`, nil, "before is missing")
	f("*", `{"before":1}`, nil, seconds)
	f("users:42", `{}`, nil, "its key is not user:ID, jti:ID or *")
	f("user:", `{}`, nil, "the ID in its key is empty")
	f("user:\xff", `{}`, nil, "not UTF-8")
	f("", `{}`, nil, "its key is not")
	f("user:"+strings.Repeat("x", maxName+1), `{}`, nil, "longer than")
	if n := strings.Count(log.String(), "does not hold as it stands"); n == 0 || n > 5 {
		t.Errorf("%d lines:\n%s", n, log)
	}

	// A good record mends a bad one, and a bad one of * changes nothing.
	l.put("*", fmt.Sprintf(`{"before":%d}`, ms))
	l.put("*", `{}`)
	if l.Judge("42", Mark{}) != ErrToken || l.Stats().Bad != 1 {
		t.Error("a bad record has lifted what was revoked")
	}
	l.put("*", fmt.Sprintf(`{"before":%d}`, ms))
	for i := range maxBad + 10 {
		l.put(fmt.Sprint("bad", i), "{}")
	}
	if s := l.Stats(); s.Bad != maxBad+1 {
		t.Errorf("%d bad keys", s.Bad)
	}
}

func FuzzRecord(f *testing.F) {
	for _, key := range []string{"user:42", "jti:a", "*", "x", ""} {
		f.Add([]byte(key), []byte(`{"before":1700000000000,"why":"x"}`))
		f.Add([]byte(key), []byte(`{}`))
		f.Add([]byte(key), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		l := read(Bounds{})
		l.Record(0, 1, 1, true, key, value)
		k, name, err := parseKey(key)
		if s := l.Stats(); s.Entries+s.Bad == 0 && value != nil {
			t.Errorf("%q %q: neither taken nor bad", key, value)
		}
		if err == nil && k == ofUser && value != nil && l.Judge(name, Mark{}) == nil {
			t.Errorf("%q %q: an old token passes", key, value)
		}
		l.Record(0, 2, 2, true, key, nil)
		if s := l.Stats(); s.Entries+s.Bad != 0 {
			t.Errorf("%q %q: not lifted", key, value)
		}
	})
}
