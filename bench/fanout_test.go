package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func (g *gate) fanout() FanoutConfig {
	return FanoutConfig{
		Target: g.target(), Clients: 20, Procs: 2, Rooms: []string{"prices"}, Rate: 100, Size: 128,
		Warmup: 200 * time.Millisecond, Duration: time.Second, Drain: 5 * time.Second, Check: true, settle: time.Millisecond,
	}
}

// The whole path: worker processes, the append endpoint, /metrics, the report.
func TestFanout(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.OrdersRate, cfg.OrdersClients = 50, 4
	res, err := Fanout(t.Context(), cfg)
	var invalid *InvalidError // a busy machine makes the bench late; that is not what is tested
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	leg := res.Legs[0]
	if leg.Want != 20*120 || leg.Unique != leg.Want || leg.Lost+leg.Late+leg.Doubled+leg.Invalid+leg.Foreign+leg.Breaks != 0 {
		t.Fatalf("%+v", leg)
	}
	if leg.Latency.Count != 20*100 || leg.Latency.Max <= 0 || leg.Offered != 2000 {
		t.Fatalf("%d latencies, %v; offered %v", leg.Latency.Count, leg.Latency, leg.Offered)
	}
	if leg.Delivered < 1000 || leg.Delivered > 2400 || leg.PublisherLag.Count != 120 || leg.Handshake.Count != 20+4 {
		t.Fatalf("delivered %v, published %d, handshakes %d", leg.Delivered, leg.PublisherLag.Count, leg.Handshake.Count)
	}
	if o := leg.Orders; o == nil || o.Want != 60 || o.Lost != 0 || o.Latency.Count != 50 || o.Arrival.Count != 50 {
		t.Fatalf("orders %+v", o)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"20 clients in prices", "2,400 of 2,400", "orders", "latency", "gateway"} {
		if !strings.Contains(b.String(), want) {
			t.Fatalf("no %q in\n%s", want, b.String())
		}
	}
}

// A gateway that loses messages does not pass.
func TestFanoutTellsLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "")
	g.bare = true
	g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
		if c.n == 3 && n == 50 {
			return nil
		}
		return [][]byte{b}
	}
	cfg := g.fanout()
	cfg.Procs, cfg.Bare, cfg.Drain = 1, true, time.Second
	res, err := Fanout(t.Context(), cfg)
	var fault *FaultError
	var invalid *InvalidError
	if !errors.As(err, &fault) && !errors.As(err, &invalid) {
		t.Fatalf("%v", err)
	}
	if leg := res.Legs[0]; leg.Lost != 1 || !strings.Contains(strings.Join(leg.Faults, " "), "1 messages lost") {
		t.Fatalf("lost %d, %v", leg.Lost, leg.Faults)
	}
}

// The baseline's server answers the same clients and loses nothing at a low rate, with
// a send for each message and with one for seven, the last of which is for fewer.
func TestFanoutBaseline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, batch := range []int{1, 7} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) { testBaseline(t, batch) })
	}
}

func testBaseline(t *testing.T, batch int) {
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Procs, cfg.Baseline, cfg.RawBatch = 1, true, batch
	res, err := Fanout(t.Context(), cfg)
	var invalid *InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if len(res.Legs) != 2 || res.Legs[1].Raw == nil {
		t.Fatalf("%d legs", len(res.Legs))
	}
	raw := res.Legs[1]
	if raw.Unique != raw.Want || raw.Want != 20*120 || raw.Raw.Dropped != 0 || raw.Breaks != 0 || len(raw.Faults) != 0 {
		t.Fatalf("%+v", raw)
	}
}

// Clients that stop reading find bytes in their buffers, and lose nothing here.
func TestFanoutStalled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Procs, cfg.Stalled, cfg.Paired = 1, 2, true
	res, err := Fanout(t.Context(), cfg)
	var invalid *InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if len(res.Legs) != 2 || res.Legs[0].Stalled != nil || res.Paired <= 0 {
		t.Fatalf("%d legs, p99 ratio %v", len(res.Legs), res.Paired)
	}
	s := res.Legs[1].Stalled
	if s == nil || s.Clients != 2 || s.Gone != 0 || s.Lost != 0 || s.Received < 2*50*128 || s.MostRecv > s.Received || s.Unsent < 0 {
		t.Fatalf("%+v", s)
	}
}

func TestFanoutBadInput(t *testing.T) {
	g := newGate(t, "secret")
	f := func(want string, edit func(*FanoutConfig)) {
		t.Helper()
		cfg := g.fanout()
		edit(&cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := Fanout(ctx, cfg)
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q in one line", err, want)
		}
	}
	f("connection refused", func(c *FanoutConfig) { c.Target.URL = "ws://127.0.0.1:1/ws" })
	f("connection refused", func(c *FanoutConfig) { c.Target.Admin = "http://127.0.0.1:1" })
	f("no ws://", func(c *FanoutConfig) { c.Target.URL = "http://127.0.0.1:1/ws" })
	f("cannot find", func(c *FanoutConfig) { c.Target.URL = "ws://no.such.host.invalid/ws" })
	f("401 Unauthorized: bad token", func(c *FanoutConfig) { c.Target.Keys = Keys{Secret: "wrong"} })
	f("401 Unauthorized: bad token", func(c *FanoutConfig) { c.Target.Keys = Keys{Token: "x.y.z"} })
	f("use --procs 51", func(c *FanoutConfig) { c.Clients, c.Procs = 1_000_000, 1; checkLimit(t, c) })
	f("says how to publish", func(c *FanoutConfig) { c.Target.Direct = false })
	f("keep one", func(c *FanoutConfig) { c.Target.Brokers = []string{"x:1"} })
	f("at least one", func(c *FanoutConfig) { c.Clients = 0 })
	f("more than --clients", func(c *FanoutConfig) { c.Procs = 21 })
	f("out of range", func(c *FanoutConfig) { c.Rate = 0 })
	f("too small", func(c *FanoutConfig) { c.Size = 20 })
	f("one bare room", func(c *FanoutConfig) { c.Bare, c.Rooms = true, []string{"a", "b"} })
	f("names no room", func(c *FanoutConfig) { c.Rooms = nil })
	f("give --stalled", func(c *FanoutConfig) { c.Paired = true })
	g.direct = false
	f("start it with tapecast run --direct", func(*FanoutConfig) {})
}

// checkLimit makes the case of too many clients one that this machine agrees with.
func checkLimit(t *testing.T, c *FanoutConfig) {
	t.Helper()
	if descriptorsFor(c.Clients, 1, 20_000) == nil || checkDescriptors(c.Clients, 1) == nil {
		t.Skip("the limit of descriptors is a million or more")
	}
}

func TestDescriptorsFor(t *testing.T) {
	f := func(clients, procs, limit int, want string) {
		t.Helper()
		err := descriptorsFor(clients, procs, limit)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("%v; want %q", err, want)
		}
	}
	f(19_936, 1, 20_000, "")
	f(19_937, 1, 20_000, "use --procs 2")
	f(30_000, 2, 20_000, "")
	f(50_000, 2, 20_000, "enough for 39872 clients: use --procs 3")
	f(10, 1, 60, "too small")
}
