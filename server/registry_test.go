package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stage records what services do, in order.
type stage struct {
	mu     sync.Mutex
	events []string
}

func (s *stage) note(e string) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
}

func (s *stage) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := strings.Join(s.events, " ")
	s.events = nil
	return e
}

// actor is a service whose fate a test decides.
func (s *stage) actor(name string, needs ...string) *service {
	return &service{
		name: name, needs: needs,
		start:  func(context.Context) error { s.note("+" + name); return nil },
		stop:   func(context.Context) error { s.note("-" + name); return nil },
		health: func() (status, string) { return statusHealthy, "" },
		figure: func() (string, int64) { return "n", 1 },
	}
}

func testRegistry(t *testing.T, services ...*service) *registry {
	t.Helper()
	r, err := newRegistry(quietLog(), services...)
	if err != nil {
		t.Fatal(err)
	}
	r.wait.jitter = func(d time.Duration) time.Duration { return d } // the longest wait
	return r
}

func TestRegistryOrder(t *testing.T) {
	f := func(want string, services ...*service) {
		t.Helper()
		r, err := newRegistry(quietLog(), services...)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			var names []string
			for _, e := range r.order {
				names = append(names, e.name)
			}
			got = strings.Join(names, " ")
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	s := new(stage)
	f("a b c", s.actor("a"), s.actor("b"), s.actor("c"))
	f("c b a", s.actor("a", "b"), s.actor("b", "c"), s.actor("c"))
	f("d b c a", s.actor("a", "b", "c"), s.actor("b", "d"), s.actor("c", "d"), s.actor("d"))
	f("services need each other in a circle: a -> b -> a", s.actor("a", "b"), s.actor("b", "a"))
	f("services need each other in a circle: a -> a", s.actor("a", "a"))
	f("service a needs x, which does not exist", s.actor("a", "x"))
	f("two services are called a", s.actor("a"), s.actor("a"))
}

func TestRegistryStartStop(t *testing.T) {
	s := new(stage)
	r := testRegistry(t, s.actor("a", "b"), s.actor("b"))
	if got := overall(r.report()); got != statusUnhealthy {
		t.Errorf("before the start: %s", got)
	}
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	rep := r.report()
	if overall(rep) != statusHealthy || !rep[0].running || !rep[1].started || rep[0].value != 1 {
		t.Errorf("report %+v", rep)
	}
	if err := r.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.take(); got != "+b +a -a -b" {
		t.Errorf("did %s", got)
	}
	rep = r.report()
	if rep[0].status != statusStopped || rep[0].running || overall(rep) != statusUnhealthy {
		t.Errorf("report %+v", rep)
	}
}

// A needed service that does not start takes down those before it.
func TestRegistryStartFails(t *testing.T) {
	s := new(stage)
	bad := s.actor("b", "a")
	bad.start = func(context.Context) error { return errors.New("no luck") }
	r := testRegistry(t, s.actor("a"), bad, s.actor("c", "b"))
	if err := r.start(t.Context()); err == nil || err.Error() != "cannot start b: no luck" {
		t.Errorf("got %v", err)
	}
	if got := s.take(); got != "+a -b -a" {
		t.Errorf("did %s", got)
	}
	if err := r.stop(t.Context()); err != nil || s.take() != "" {
		t.Errorf("a stop after a start that failed: %v", err)
	}
}

func TestRegistryStopErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		hangs, fails := s.actor("hangs", "a"), s.actor("fails")
		hangs.deadline = 3 * time.Second
		hangs.stop = func(context.Context) error { time.Sleep(time.Minute); return nil }
		fails.stop = func(context.Context) error { return errors.New("no") }
		r := testRegistry(t, s.actor("a"), hangs, fails)
		if err := r.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.take()
		begun := time.Now()
		err := r.stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot stop fails: no") || !strings.Contains(err.Error(), "cannot stop hangs: not done in time") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begun); d > 4*time.Second {
			t.Errorf("took %s", d)
		}
		if got := s.take(); got != "-a" { // all the same
			t.Errorf("did %s", got)
		}
		time.Sleep(time.Minute)
	})
}

// An optional service that cannot start does not keep the others back. It is
// tried again after 0.5, 1, 2, … seconds, and never more often than its cap.
func TestRegistryRestartsAfterFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.optional, k.restart = true, true
		var tries []time.Duration
		begun := time.Now()
		k.start = func(context.Context) error {
			if tries = append(tries, time.Since(begun)); len(tries) <= 9 {
				return errors.New("no broker")
			}
			return nil
		}
		r := testRegistry(t, k, s.actor("a", "k"))
		if err := r.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		rep := r.report()
		if rep[0].running || rep[0].started || rep[0].status != statusUnhealthy || rep[0].detail == "" || overall(rep) != statusDegraded {
			t.Errorf("report %+v, %s", rep, overall(rep))
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		var waits []time.Duration
		for i := 1; i < len(tries); i++ {
			waits = append(waits, (tries[i] - tries[i-1]).Round(time.Millisecond))
		}
		sec := time.Second
		if want := []time.Duration{sec / 2, sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 30 * sec, 30 * sec, 30 * sec}; !slices.Equal(waits, want) {
			t.Errorf("waited %v, want %v", waits, want)
		}
		if got := overall(r.report()); got != statusHealthy {
			t.Errorf("in the end %s", got)
		}
		if got := r.order[0].failures; got != 0 {
			t.Errorf("%d failures are remembered after a quiet minute", got)
		}
		if err := r.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRegistryRestartsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.restart = true
		var mu sync.Mutex
		now := statusHealthy
		k.health = func() (status, string) { mu.Lock(); defer mu.Unlock(); return now, "why" }
		say := func(st status) { mu.Lock(); now = st; mu.Unlock() }
		r := testRegistry(t, k)
		if err := r.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		say(statusDegraded)
		if got := overall(r.report()); got != statusDegraded { // at once, not at the next look
			t.Errorf("degraded is reported as %s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.take(); got != "+k" {
			t.Errorf("did %s; a degraded service is left alone", got)
		}
		say(statusUnhealthy)
		time.Sleep(r.every)
		synctest.Wait()
		say(statusHealthy)
		time.Sleep(r.every)
		synctest.Wait()
		if got := s.take(); got != "-k +k" {
			t.Errorf("did %s", got)
		}
		if got := overall(r.report()); got != statusHealthy {
			t.Errorf("then %s", got)
		}
		if err := r.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRegistryCancelledStart(t *testing.T) {
	s := new(stage)
	ctx, cancel := context.WithCancel(t.Context())
	k := s.actor("k")
	k.optional, k.restart = true, true
	k.start = func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }
	r := testRegistry(t, k, s.actor("a", "k"))
	if err := r.start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := s.take(); got != "-k" {
		t.Errorf("did %s", got)
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{first: time.Second, most: 10 * time.Second, jitter: func(time.Duration) time.Duration { return 0 }}
	for n, want := range map[int]time.Duration{1: time.Second / 2, 2: time.Second, 4: 4 * time.Second, 5: 5 * time.Second, 1000: 5 * time.Second} {
		if got := b.after(n); got != want {
			t.Errorf("after %d failures at least %s, want %s", n, got, want)
		}
	}
	r := testRegistry(t)
	if r.wait.most < r.wait.first {
		t.Error("the cap is below the first wait")
	}
}
