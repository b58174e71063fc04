package registry

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
)

// fated is a service whose health a test sets.
func (s *stage) fated(name string, needs ...string) (svc *Service, say func(Status)) {
	var now atomic.Value
	now.Store(Healthy)
	svc = s.actor(name, needs...)
	svc.Health = func() (Status, string) { return now.Load().(Status), "as told" }
	return svc, func(st Status) { now.Store(st) }
}

func started(t *testing.T, services ...*Service) *Registry {
	t.Helper()
	r := testRegistry(t, services...)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func stopped(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What follows a service stops before that one is restarted, the last first, and starts after it.
// What only needs or wants it goes on, and says what it is without.
func TestFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k, say := s.fated("k")
		k.Restart = Restart{OnFailure: true, First: 4 * time.Second}
		b, c := s.actor("b", "k"), s.actor("c", "b")
		b.Follows, c.Follows = true, true
		d, e := s.actor("d", "k"), s.actor("e")
		e.Wants = []string{"k"}
		r := started(t, k, b, c, d, e)
		s.take()
		say(Unhealthy)
		testwait.Pass(3 * time.Second)
		if got := s.take(); got != "-c -b" {
			t.Errorf("did %q", got)
		}
		rep := r.Report()
		for i, want := range []string{"as told", "it waits for k, which it needs", "it waits for k, which it needs",
			"it is without k", "it is without k"} {
			if rep[i].Detail != want || rep[i].Status == Healthy {
				t.Errorf("%s is %s: %s; want %q", rep[i].Name, rep[i].Status, rep[i].Detail, want)
			}
		}
		say(Healthy)
		testwait.Pass(4 * time.Second)
		if got := s.take(); got != "-k +k +b +c" {
			t.Errorf("then did %q", got)
		}
		if rep := r.Report(); Overall(rep) != Healthy {
			t.Errorf("in the end %+v", rep)
		}
		stopped(t, r)
	})
}

// A service is not started before those that it needs, and is when they run.
func TestWaitsForNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.Optional, k.Restart = true, Restart{OnFailure: true}
		var there atomic.Bool
		k.Start = func(context.Context) error {
			if there.Load() {
				return nil
			}
			return errors.New("not there")
		}
		a := s.actor("a", "k")
		a.Ready = func() (bool, string) { return true, "" }
		r := started(t, k, a)
		if ok, why := r.Ready(); ok || why != "a does not run yet" || s.take() != "" {
			t.Errorf("ready %v: %s", ok, why)
		}
		there.Store(true)
		testwait.Pass(time.Minute)
		if ok, why := r.Ready(); !ok || !strings.HasSuffix(s.take(), "+a") {
			t.Errorf("ready %v: %s", ok, why)
		}
		stopped(t, r)
	})
}

func TestReady(t *testing.T) {
	s := new(stage)
	a, b := s.actor("a"), s.actor("b")
	b.Ready = func() (bool, string) { return false, "it has read half" }
	r := started(t, a, b)
	if ok, why := r.Ready(); ok || why != "it has read half" {
		t.Errorf("ready %v: %s", ok, why)
	}
	stopped(t, r)
}

// A service that is restarted again and again makes the node unhealthy although it runs, until its
// restarts are long ago. The report says how often it was restarted and why.
func TestRestartBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k, say := s.fated("k")
		k.Optional = true
		k.Restart = Restart{OnFailure: true, Most: time.Second, Budget: 2, Within: time.Minute}
		r := started(t, k)
		fail := func() {
			say(Unhealthy)
			testwait.Pass(2 * time.Second)
			say(Healthy)
			testwait.Pass(2 * time.Second)
		}
		fail()
		fail()
		if rep := r.Report(); Overall(rep) != Healthy || rep[0].Restarts != 2 || rep[0].Why != "as told" ||
			rep[0].LastError != "as told" {
			t.Errorf("within the budget: %+v", rep[0])
		}
		fail()
		rep := r.Report()
		if Overall(rep) != Unhealthy || !rep[0].Spent || !strings.Contains(rep[0].Detail, "too often") {
			t.Errorf("beyond the budget: %+v", rep[0])
		}
		testwait.Pass(time.Minute)
		if rep := r.Report(); Overall(rep) != Healthy || rep[0].Restarts != 3 {
			t.Errorf("a minute later: %+v", rep[0])
		}
		stopped(t, r)
	})
}

// Each service is looked at in its own interval, and has its own time to answer.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		var looks [2]atomic.Int32
		a, b := s.actor("a"), s.actor("b")
		b.LookEvery, b.LookWait = 10*time.Second, 3*time.Second
		for i, svc := range []*Service{a, b} {
			svc.Health = func() (Status, string) {
				looks[i].Add(1)
				testwait.Pause(time.Second) // the bubble's clock: longer than a has, and shorter than b
				return Healthy, ""
			}
		}
		r := started(t, a, b)
		testwait.Pass(61 * time.Second)
		if n, m := looks[0].Load(), looks[1].Load(); n < 20 || m < 5 || m > 6 {
			t.Errorf("looked at %d and %d times", n, m)
		}
		if rep := r.Report(); !strings.Contains(rep[0].LastError, "does not report") ||
			rep[1].LastError != "" {
			t.Errorf("%+v", rep)
		}
		stopped(t, r)
		testwait.Pass(time.Second)
	})
}

// A start that did not end in time is not begun a second time beside itself.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(stage)
		k := s.actor("k")
		k.Optional, k.Deadline, k.Restart = true, time.Second, Restart{OnFailure: true, First: time.Second}
		over, at, most := make(chan struct{}), atomic.Int32{}, atomic.Int32{}
		k.Start = func(context.Context) error {
			most.Store(max(most.Load(), at.Add(1)))
			defer at.Add(-1)
			<-over
			return nil
		}
		r := started(t, k)
		testwait.Pass(time.Minute)
		if rep := r.Report(); !strings.Contains(rep[0].Detail, "its last start has not ended") {
			t.Errorf("%+v", rep[0])
		}
		close(over)
		testwait.Pass(time.Minute)
		if rep := r.Report(); Overall(rep) != Healthy || most.Load() != 1 {
			t.Errorf("%d starts at a time, %+v", most.Load(), rep[0])
		}
		stopped(t, r)
	})
}
