package shared

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

func (s *Store) looks(token string) (Entry, bool) { return s.Look(context.Background(), token) }

// ready lets time pass until a store must have Redis.
func ready(t *testing.T, s *Store) {
	t.Helper()
	testwait.Pass(5 * time.Second)
	if is := s.Stats(); !s.Usable() || is.Trouble() != "" {
		t.Fatalf("Redis is not used: %+v", is)
	}
}

// TestShared: what one node has stored another one finds, until it is over. Redis keeps it no longer.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(t)
		a, stopA := node(t, r)
		defer stopA()
		b, stopB := node(t, r)
		defer stopB()
		ready(t, a)
		if _, found := b.looks("t"); found || b.Stats().Misses != 1 {
			t.Errorf("%+v", b.Stats())
		}
		until := time.UnixMilli(time.Now().Add(30 * time.Second).UnixMilli())
		a.Put("t", Entry{User: "42", Claims: []byte(`{"a":1}`), Until: until})
		a.Put("long", Entry{User: "42", Until: time.Now().Add(time.Hour)})
		synctest.Wait()
		e, found := b.looks("t")
		if !found || e.User != "42" || string(e.Claims) != `{"a":1}` || !e.Until.Equal(until) || b.Stats().Hits != 1 {
			t.Errorf("%+v, %v: %+v", e, found, b.Stats())
		}
		if _, lives := r.get(a.set.Load().seal.name("t")); lives != 30*time.Second {
			t.Errorf("Redis keeps it for %s", lives)
		}
		e, found = b.looks("long")
		_, lives := r.get(a.set.Load().seal.name("long"))
		if !found || time.Until(e.Until) != time.Minute || lives != time.Minute {
			t.Errorf("%v, it is good for %s, and kept for %s", found, time.Until(e.Until), lives)
		}
		for _, other := range []func(*Config){
			func(c *Config) { c.Scope = "b" }, func(c *Config) { c.Secret = []byte(secret + "x") },
		} {
			c, stop := node(t, r, other)
			ready(t, c)
			if _, found := c.looks("t"); found || c.Stats().Misses != 1 || c.Stats().Forged != 0 {
				t.Errorf("another cluster: %v, %+v", found, c.Stats())
			}
			stop()
		}
		a.Put("large", Entry{User: strings.Repeat("x", MaxEntry+1), Until: until})
		if is := a.Stats(); is.Lost != 1 || is.Waiting != 0 || is.Stored != 2 {
			t.Errorf("%+v", is)
		}
		testwait.Pass(time.Minute)
		if _, found := b.looks("t"); found || b.Stats().Over != 1 {
			t.Errorf("it is found after its end: %+v", b.Stats())
		}
	})
}

// TestSharedForged: who can write to Redis cannot make an identity, nor move or prolong one.
func TestSharedForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(t)
		s, stop := node(t, r)
		defer stop()
		ready(t, s)
		forged, over := uint64(0), uint64(0)
		f := func(what, value string, isForged bool) {
			t.Helper()
			r.set(s.set.Load().seal.name("t"), value)
			if isForged {
				forged++
			} else {
				over++
			}
			if e, found := s.looks("t"); found || s.Stats().Forged != forged || s.Stats().Over != over {
				t.Errorf("%s: %+v, %v, %+v", what, e, found, s.Stats())
			}
		}
		seal := func(by *sealer, token string, left time.Duration) string {
			return string(by.seal(token, Entry{User: "1", Until: time.Now().Add(left)}))
		}
		good := seal(s.set.Load().seal, "t", time.Minute)
		r.set(s.set.Load().seal.name("t"), good)
		if e, found := s.looks("t"); !found || e.User != "1" {
			t.Fatalf("%+v, %v", e, found)
		}
		f("another token's", seal(s.set.Load().seal, "t2", time.Minute), true)
		f("another secret's", seal(sealed(t, secret+"x", "a"), "t", time.Minute), true)
		f("plain text", `{"user":"1"}`, true)
		f("prolonged", good[:5]+"\xff"+good[6:], true)
		f("an old one again", seal(s.set.Load().seal, "t", -time.Millisecond), false)
		f("one of a clock that is ahead", seal(s.set.Load().seal, "t", time.Minute+40*time.Second), false)
		r.say(func(cmd []string) (string, bool) {
			return "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", cmd[0] == "get"
		})
		f("a list", "", true)
		r.say(func([]string) (string, bool) { return "$2\r\nno\r\n", true })
		f("the same text for all", "", true)
		if is := s.Stats(); is.Reads != "closed" || is.Hits != 1 {
			t.Errorf("%+v", is)
		}
	})
}

// TestRedisTrouble: Redis is away, silent, full, or answers rubbish. Within 5 s health knows it. Nobody
// waits for longer than one look-up, and then nobody waits at all. It recovers by itself within 5 s.
func TestRedisTrouble(t *testing.T) {
	says := func(text string) func(r *script) {
		return func(r *script) { r.say(func([]string) (string, bool) { return text, true }) }
	}
	only := func(word, text string) func(r *script) {
		return func(r *script) { r.say(func(cmd []string) (string, bool) { return text, cmd[0] == word }) }
	}
	f := func(harm func(r *script), reads bool, why string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			r := newScript(t)
			s, stop := node(t, r)
			defer stop()
			ready(t, s)
			s.Put("t", Entry{User: "42", Until: time.Now().Add(time.Minute)})
			synctest.Wait()
			harm(r)
			for range 2 * maxRow { // in vain, but for those who find it
				began := time.Now()
				if _, found := s.looks("t"); found == reads || time.Since(began) > s.set.Load().Timeout {
					t.Errorf("found %v after %s: %+v", found, time.Since(began), s.Stats())
				}
			}
			testwait.Pass(5 * time.Second)
			before := s.Stats()
			if (before.Reads == "closed") == reads || before.Writes == "closed" ||
				!strings.Contains(before.Trouble(), why) {
				t.Errorf("%q: %+v", before.Trouble(), before)
			}
			began := time.Now()
			_, _ = s.looks("t")
			s.Put("t2", Entry{User: "42", Until: time.Now().Add(time.Minute)})
			is := s.Stats()
			if reads && (is.Skipped != before.Skipped+1 || s.Usable()) || is.Lost != before.Lost+1 ||
				time.Since(began) != 0 {
				t.Errorf("it is asked: %+v after %s", is, time.Since(began))
			}
			r.say(nil)
			r.up(true)
			ready(t, s)
			s.Put("t3", Entry{User: "43", Until: time.Now().Add(time.Minute)})
			synctest.Wait()
			if e, found := s.looks("t3"); !found || e.User != "43" {
				t.Errorf("%+v, %v, %+v", e, found, s.Stats())
			}
		})
	}
	f(func(r *script) { r.up(false) }, true, "refused")
	f(says(""), true, "in time")
	f(only("set", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"), false, "OOM")
	f(only("set", "-READONLY You can't write against a read only replica.\r\n"), false, "READONLY")
	f(says("-NOAUTH Authentication required.\r\n"), true, "NOAUTH")
	f(says("-LOADING Redis is loading the dataset in memory\r\n"), true, "LOADING")
	f(says("HTTP/1.1 400 Bad Request\r\n\r\n"), true, "protocol")
	f(says("$999999999999\r\n"), true, "protocol")
	f(says(strings.Repeat("*1\r\n", 5000)), true, "protocol")
	f(says("*2\r\n:1\r\n:2\r\n"), true, "")
}

// TestPutsBound: so many entries wait to be stored. Further ones are counted.
func TestPutsBound(t *testing.T) {
	s, err := New(Config{Address: "127.0.0.1:1", Timeout: time.Millisecond, Secret: []byte(secret), Keep: time.Minute,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Put("early", Entry{User: "1", Until: time.Now().Add(time.Minute)}) // before Run
	s.client.Store(s.set.Load().client())
	defer s.client.Load().Close()
	for i := range maxPuts + 5 {
		s.Put(fmt.Sprint(i), Entry{User: "1", Until: time.Now().Add(time.Minute)})
	}
	if is := s.Stats(); is.Waiting != maxPuts || is.Lost != 6 {
		t.Errorf("%+v", is)
	}
	if _, err := New(Config{Secret: []byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}

// TestLookTime: nobody waits for Redis who has too little time left to ask the service after that.
func TestLookTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := node(t, newScript(t))
		defer stop()
		ready(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), s.set.Load().Timeout/2)
		defer cancel()
		s.Look(ctx, "t")
		if is := s.Stats(); is.Skipped != 1 || is.Misses != 0 {
			t.Errorf("%+v", is)
		}
	})
}

// TestReadsBreakerRate: it also opens if half of the look-ups fail, or more, and never many in a row.
func TestReadsBreakerRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(t)
		s, stop := node(t, r)
		defer stop()
		ready(t, s)
		n := 0
		r.say(func(cmd []string) (string, bool) {
			n++
			return "-ERR no\r\n", cmd[0] == "get" && n%3 != 0
		})
		for range 2 * leastTries {
			s.looks("t")
		}
		if is := s.Stats(); is.Reads != "open" || is.Skipped == 0 || is.Writes != "closed" {
			t.Errorf("%+v", is)
		}
	})
}
