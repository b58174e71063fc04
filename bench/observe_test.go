package bench

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
)

func (g *gate) observe() FanoutConfig {
	return FanoutConfig{
		Target: g.target(), Clients: 4, Procs: 2, Rooms: []string{"prices"},
		Warmup: 100 * time.Millisecond, Duration: time.Second,
	}
}

// busy publishes a hundred messages a second to a room until the test ends.
func (g *gate) busy(t *testing.T, room string) {
	t.Helper()
	shape, err := job.NewValueShape(128, "")
	if err != nil {
		t.Fatal(err)
	}
	over, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := int64(0); ; n++ {
			select {
			case <-over:
				return
			case <-tick.C:
				g.send(room, shape.Make(nil, 1, n))
			}
		}
	}()
}

// All traffic is measured, and another publisher sends it.
func TestObserve(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	g.busy(t, "prices")
	res, err := Observe(t.Context(), g.observe())
	var invalid *job.InvalidError
	if err != nil && !errors.As(err, &invalid) { // a busy machine
		t.Fatal(err)
	}
	// A hundred messages a second to each of four, whose ts is of the year 2023.
	const years = 365 * 24 * 3600 * 1000.0
	if res.Messages < 100 || res.Freshness.Count < 100 || res.Freshness.Max < years || res.Breaks != 0 ||
		len(res.Faults) > 0 ||
		res.Bytes < 128*res.Delivered || res.RSS <= 0 || res.Handshake.Count != 4 {
		t.Errorf("%+v", res)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil || !strings.Contains(b.String(), "observe · 4 clients in prices") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// A message that is left out without notice is a fault. Silence is reported.
func TestObserveFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
		if c.user == job.UserName(2) && n%50 == 49 {
			return nil
		}
		return [][]byte{b}
	}
	g.busy(t, "prices")
	res, err := Observe(t.Context(), g.observe())
	var fault *job.FaultError
	if !errors.As(err, &fault) || res.Breaks == 0 || !strings.Contains(err.Error(), "room prices: prev") {
		t.Errorf("%v: %d breaks", err, res.Breaks)
	}
	cfg := g.observe()
	cfg.Rooms = []string{"quiet"}
	var invalid *job.InvalidError
	if _, err := Observe(t.Context(), cfg); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "to quiet?") {
		t.Error(err)
	}
	f := func(want string, edit func(*FanoutConfig)) {
		t.Helper()
		cfg := g.observe()
		edit(&cfg)
		_, err := Observe(t.Context(), cfg)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("--clients 0", func(c *FanoutConfig) { c.Clients = 0 })
	f("no room", func(c *FanoutConfig) { c.Rooms = nil })
	f("only {user}", func(c *FanoutConfig) { c.Rooms = []string{"a:{key}"} })
	f("one second", func(c *FanoutConfig) { c.Duration = 1 })
	f("--admin", func(c *FanoutConfig) { c.Target.Admin = "pid:1" })
}
