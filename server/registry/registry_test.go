package registry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
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
func (s *stage) actor(name string, needs ...string) *Service {
	return &Service{
		Name: name, Needs: needs,
		Start:  func(context.Context) error { s.note("+" + name); return nil },
		Stop:   func(context.Context) error { s.note("-" + name); return nil },
		Health: func() (Status, string) { return Healthy, "" },
		Figure: func() (string, int64) { return "n", 1 },
	}
}

func testRegistry(t *testing.T, services ...*Service) *Registry {
	t.Helper()
	r, err := New(slog.New(slog.DiscardHandler), services...)
	if err != nil {
		t.Fatal(err)
	}
	r.jitter = func(d time.Duration) time.Duration { return d } // the longest wait
	return r
}

func TestRegistryOrder(t *testing.T) {
	f := func(want string, services ...*Service) {
		t.Helper()
		r, err := New(slog.New(slog.DiscardHandler), services...)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			var names []string
			for _, e := range r.order {
				names = append(names, e.Name)
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
	if got := Overall(r.Report()); got != Unhealthy {
		t.Errorf("before the start: %s", got)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	rep := r.Report()
	if Overall(rep) != Healthy || !rep[0].Running || !rep[1].Started || rep[0].Value != 1 {
		t.Errorf("report %+v", rep)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.take(); got != "+b +a -a -b" {
		t.Errorf("did %s", got)
	}
	rep = r.Report()
	if rep[0].Status != Stopped || rep[0].Running || Overall(rep) != Unhealthy {
		t.Errorf("report %+v", rep)
	}
}

// A needed service that does not start takes down those before it.
func TestRegistryStartFails(t *testing.T) {
	s := new(stage)
	bad := s.actor("b", "a")
	bad.Start = func(context.Context) error { return errors.New("no luck") }
	r := testRegistry(t, s.actor("a"), bad, s.actor("c", "b"))
	if err := r.Start(t.Context()); err == nil || err.Error() != "cannot start b: no luck" {
		t.Errorf("got %v", err)
	}
	if got := s.take(); got != "+a -b -a" {
		t.Errorf("did %s", got)
	}
	if err := r.Stop(t.Context()); err != nil || s.take() != "" {
		t.Errorf("a stop after a start that failed: %v", err)
	}
}

func TestRegistryStopErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		hangs, fails := s.actor("hangs", "a"), s.actor("fails")
		hangs.Deadline = 3 * time.Second
		over := make(chan struct{})
		hangs.Stop = func(context.Context) error { <-over; return nil }
		fails.Stop = func(context.Context) error { return errors.New("no") }
		r := testRegistry(t, s.actor("a"), hangs, fails)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.take()
		begun := time.Now()
		err := r.Stop(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot stop fails: no") ||
			!strings.Contains(err.Error(), "cannot stop hangs: not done in time") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begun); d > 4*time.Second {
			t.Errorf("took %s", d)
		}
		if got := s.take(); got != "-a" { // all the same
			t.Errorf("did %s", got)
		}
		close(over)
	})
}

// An optional service that cannot start does not keep the others back. It is
// tried again after 0.5, 1, 2, … seconds, and never more often than its cap.
func TestRegistryRestartsAfterFailedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.Optional, k.Restart.OnFailure = true, true
		var tries []time.Duration
		begun := time.Now()
		k.Start = func(context.Context) error {
			if tries = append(tries, time.Since(begun)); len(tries) <= 9 {
				return errors.New("no broker")
			}
			return nil
		}
		a := s.actor("a")
		a.Wants = []string{"k"}
		r := testRegistry(t, k, a)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		rep := r.Report()
		if rep[0].Running || rep[0].Started || rep[0].Status != Unhealthy || rep[0].Detail == "" ||
			Overall(rep) != Degraded {
			t.Errorf("report %+v, %s", rep, Overall(rep))
		}
		testwait.Pass(3 * time.Minute)
		var waits []time.Duration
		for i := 1; i < len(tries); i++ {
			waits = append(waits, (tries[i] - tries[i-1]).Round(time.Millisecond))
		}
		sec := time.Second
		if want := []time.Duration{sec / 2, sec, 2 * sec, 4 * sec, 8 * sec, 16 * sec, 30 * sec, 30 * sec,
			30 * sec}; !slices.Equal(waits, want) {
			t.Errorf("waited %v, want %v", waits, want)
		}
		if got := Overall(r.Report()); got != Healthy {
			t.Errorf("in the end %s", got)
		}
		if got := r.order[0].failures; got != 0 {
			t.Errorf("%d failures are remembered after a quiet minute", got)
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRegistryRestartsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.Restart.OnFailure = true
		var mu sync.Mutex
		now := Healthy
		k.Health = func() (Status, string) { mu.Lock(); defer mu.Unlock(); return now, "why" }
		say := func(st Status) { mu.Lock(); now = st; mu.Unlock() }
		r := testRegistry(t, k)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		testwait.Pass(time.Minute)
		say(Degraded)
		if got := Overall(r.Report()); got != Degraded { // at once, not at the next look
			t.Errorf("degraded is reported as %s", got)
		}
		testwait.Pass(time.Minute)
		if got := s.take(); got != "+k" {
			t.Errorf("did %s; a degraded service is left alone", got)
		}
		say(Unhealthy)
		testwait.Pass(2 * time.Second)
		say(Healthy)
		testwait.Pass(2 * time.Second)
		if got := s.take(); got != "-k +k" {
			t.Errorf("did %s", got)
		}
		if got := Overall(r.Report()); got != Healthy {
			t.Errorf("then %s", got)
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRegistryCancelledStart(t *testing.T) {
	s := new(stage)
	ctx, cancel := context.WithCancel(t.Context())
	k := s.actor("k")
	k.Optional, k.Restart.OnFailure = true, true
	k.Start = func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }
	r := testRegistry(t, k, s.actor("a", "k"))
	if err := r.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := s.take(); got != "-k" {
		t.Errorf("did %s", got)
	}
}

func TestRestartWaits(t *testing.T) {
	p := Restart{First: time.Second, Most: 10 * time.Second}
	for n, want := range map[int]time.Duration{1: time.Second / 2, 2: time.Second, 4: 4 * time.Second,
		5: 5 * time.Second, 1000: 5 * time.Second} {
		if got := p.after(n, func(time.Duration) time.Duration { return 0 }); got != want {
			t.Errorf("after %d failures at least %s, want %s", n, got, want)
		}
	}
}

// TestRegistryAsksWithoutWaiting: a service that does not answer is degraded, and
// nobody waits for it; it is asked once, however many want to know.
func TestRegistryAsksWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var st stage
		a, b := st.actor("a"), st.actor("b")
		hold, asked := make(chan struct{}), atomic.Int32{}
		a.Health = func() (Status, string) { asked.Add(1); <-hold; return Healthy, "" }
		r, err := New(slog.New(slog.DiscardHandler), a, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			begun := time.Now()
			rep := r.Report()
			if took := time.Since(begun); took > a.lookWait() {
				t.Errorf("a report took %s", took)
			}
			if rep[0].Status != Degraded || !strings.Contains(rep[0].Detail, "does not report") ||
				rep[1].Status != Healthy {
				t.Errorf("the report is %+v", rep)
			}
		}
		testwait.Pass(6 * time.Second) // the registry's own looks go on as well
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times at once", n)
		}
		close(hold)
		synctest.Wait()
		if rep := r.Report(); rep[0].Status != Healthy {
			t.Errorf("after it answered: %+v", rep[0])
		}
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
