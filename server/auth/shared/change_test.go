package shared

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestChange: another configuration is used without a restart. With the same one nobody connects anew.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(t)
		s, stop := node(t, r)
		defer stop()
		ready(t, s)
		s.Put("t", Entry{User: "42", Until: time.Now().Add(time.Minute)})
		synctest.Wait()
		passwords, dials := "", 0
		r.say(func(cmd []string) (string, bool) {
			if cmd[0] == "hello" {
				dials++
				passwords += cmd[len(cmd)-1] + " "
			}
			return "", false
		})
		f := func(change func(*Config), changed, found bool) {
			t.Helper()
			was := dials
			cfg := s.set.Load().Config
			change(&cfg)
			if did, err := s.Change(cfg); did != changed || err != nil {
				t.Errorf("changed %v, %v", did, err)
			}
			ready(t, s)
			if _, is := s.looks("t"); is != found || (dials > was) != changed {
				t.Errorf("found %v; connected %d times", is, dials-was)
			}
		}
		f(func(*Config) {}, false, true)
		f(func(c *Config) { c.User, c.Password = "u", "new" }, true, true)
		if passwords != "new new " && passwords != "new " {
			t.Errorf("logs in with %q", passwords)
		}
		f(func(c *Config) { c.Secret = []byte(secret + "x") }, true, false)
		f(func(c *Config) { c.Secret = []byte(secret) }, true, true)
		cfg := s.set.Load().Config
		cfg.Secret = []byte("short")
		if _, err := s.Change(cfg); err == nil {
			t.Error("a short secret is taken")
		}
		f(func(*Config) {}, false, true)
		if is := s.Stats(); is.Forged != 0 || is.Trouble() != "" {
			t.Errorf("%+v", is)
		}
	})
}

// TestLooksAtOnce: so many look-ups as there may be have a connection each, so that none waits for another.
func TestLooksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 64
		r := newScript(t)
		s, stop := node(t, r, func(c *Config) { c.AtOnce = most })
		defer stop()
		ready(t, s)
		var mu sync.Mutex
		asked, all := 0, make(chan struct{})
		r.mu.Lock()
		r.slow = func(cmd []string) { // each is answered once all are there
			if cmd[0] != "get" || cmd[1] == probe {
				return
			}
			mu.Lock()
			if asked++; asked == most {
				close(all)
			}
			mu.Unlock()
			<-all
		}
		r.mu.Unlock()
		var looks sync.WaitGroup
		for range most {
			looks.Go(func() { s.Look(context.Background(), "t") })
		}
		looks.Wait()
		if is := s.Stats(); is.Misses != most || is.Failed != 0 {
			t.Errorf("%+v", is)
		}
	})
}
