package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/publish"
	"tapecast/bench/scrape"
)

func TestHandshake(t *testing.T) {
	g := newGate(t, "secret")
	res, err := Handshake(t.Context(), HandshakeConfig{Target: g.target(), Count: 25, Batch: 10,
		Settle: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if res.Latency.Count != 25 || res.Latency.Max <= 0 || res.Token != "HS256" {
		t.Fatalf("%+v", res)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closes != 25 || len(g.conns) != 0 {
		t.Fatalf("%d closing handshakes, %d connections left", g.closes, len(g.conns))
	}
}

func TestIdle(t *testing.T) {
	g := newGate(t, "secret")
	res, err := Idle(t.Context(), IdleConfig{Target: g.target(), Procs: 2, Steps: []int{10, 20, 30},
		Settle: time.Millisecond, Touch: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Steps) != 3 || res.Steps[2].Clients != 30 || res.Steps[2].RSS == 0 {
		t.Fatalf("%+v", res)
	}
	// This server has a goroutine for each connection.
	if res.Goroutines < 0.5 {
		t.Fatalf("%v goroutines per connection", res.Goroutines)
	}
	g.mu.Lock()
	for _, room := range []string{"user:", "portfolio:", "orders:", "notifications:"} {
		for n := range 30 {
			if g.offsets[room+job.UserName(n)] != 1 {
				t.Errorf("%s got %d messages", room+job.UserName(n), g.offsets[room+job.UserName(n)])
			}
		}
	}
	g.mu.Unlock()
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "per connection") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

func TestIdleBadInput(t *testing.T) {
	g := newGate(t, "secret")
	f := func(want string, edit func(*IdleConfig)) {
		t.Helper()
		cfg := IdleConfig{Target: g.target(), Steps: []int{1, 2}, Settle: time.Millisecond}
		edit(&cfg)
		_, err := Idle(t.Context(), cfg)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("two or more", func(c *IdleConfig) { c.Steps = []int{5} })
	f("two or more", func(c *IdleConfig) { c.Steps = []int{5, 2} })
	f("--touch-topics", func(c *IdleConfig) { c.Touch, c.Target.Direct = true, false })
	f("admin.pprof", func(c *IdleConfig) { c.GC = true })
	f("401", func(c *IdleConfig) { c.Target.Keys.Secret = "wrong" })
}

// A server whose members take turns passes. One that always starts with the same member does
// not.
func TestPassOrder(t *testing.T) {
	g := newGate(t, "secret")
	cfg := PassOrderConfig{Target: g.target(), Clients: 3, Room: "prices", Rate: 100, Messages: 60, Size: 128}
	even, err := PassOrder(t.Context(), cfg)
	var busy *job.InvalidError // a busy machine: messages overlapped
	if err != nil && !errors.As(err, &busy) {
		t.Fatal(err)
	}
	if even.First.Most > 25 || even.Last.Most > 25 || even.Messages+even.Overlapping != 60 {
		t.Fatalf("%+v", even)
	}
	var fault *job.FaultError
	g.favourite = true
	res, err := PassOrder(t.Context(), cfg)
	if !errors.As(err, &busy) && (!errors.As(err, &fault) || !strings.Contains(err.Error(), "was first")) ||
		res.First.Most != res.Messages {
		t.Fatalf("%+v, %v", res, err)
	}
	cfg.Messages = 10
	if _, err := PassOrder(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "at least five") {
		t.Fatalf("%v", err)
	}
}

func TestParseSources(t *testing.T) {
	f := func(s string, want ...string) {
		t.Helper()
		got, err := ParseSources(s)
		if want == nil && s != "" {
			if err == nil {
				t.Fatalf("%q gave %v", s, got)
			}
			return
		}
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%q gave %v, %v", s, got, err)
		}
	}
	f("")
	f("127.0.0.2-127.0.0.4", "127.0.0.2", "127.0.0.3", "127.0.0.4")
	f("127.0.0.255-127.0.1.0, 10.0.0.1", "127.0.0.255", "127.0.1.0", "10.0.0.1")
	f("127.0.0.4-127.0.0.2")
	f("127.0.0.4-::1")
	f("0.0.0.0-255.255.255.255")
	f("localhost")
	f(",")
}

// A refusal of the endpoint ends the publishing at once, in its own words.
func TestDirectRefused(t *testing.T) {
	g := newGate(t, "")
	to, err := publish.NewDirect(t.Context(), scrape.Port{URL: g.admin.URL})
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := job.NewValueShape(128, "")
	s, _ := job.NewSchedule(machine.MonotonicIn(0)+machine.Anchor(), 1000)
	p := publish.Publication{Schedule: s, Anchor: machine.Anchor(), Total: 5000, Shape: shape,
		Assignment: job.Assignment{Rooms: []string{"nowhere"}}}
	if _, err = p.Publish(t.Context(), to); err == nil || !strings.Contains(err.Error(), "entry 0: no room") {
		t.Fatalf("%v", err)
	}
}

// Every message is published by the schedule, at its pace, and none is missing.
func TestPublishDirect(t *testing.T) {
	g := newGate(t, "")
	to, err := publish.NewDirect(t.Context(), scrape.Port{URL: g.admin.URL})
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := job.NewValueShape(128, "")
	a := machine.Anchor()
	s, _ := job.NewSchedule(machine.MonotonicIn(-time.Second)+a, 2000) // half of it is late
	p := publish.Publication{Schedule: s, Anchor: a, Total: 4000, Shape: shape,
		Assignment: job.Assignment{Streams: 2, Rooms: []string{"a", "b"}}}
	out, err := p.Publish(t.Context(), to)
	if err != nil || out.Messages != 4000 || g.offsets["a"] != 2000 || g.offsets["b"] != 2000 {
		t.Fatalf("%+v, %v", out, err)
	}
	if q := out.Lag.Quantiles(); q.Count != 4000 || q.Max < 990 || q.P50 > 600 {
		t.Fatalf("lag %v", q)
	}
}
