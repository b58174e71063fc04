package bench

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
)

func (g *gate) fanout() FanoutConfig {
	return FanoutConfig{
		Target: g.target(), Clients: 20, Procs: 2, Rooms: []string{"prices"}, Rate: 100, Size: 128,
		Warmup: 200 * time.Millisecond, Duration: time.Second, Drain: 5 * time.Second, Check: true,
		settle: time.Millisecond,
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
	var invalid *job.InvalidError // a busy machine makes the bench late, which is not tested here
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	run := res.Runs[0]
	if run.Want != 20*120 || run.Unique != run.Want ||
		run.Lost+run.Late+run.Doubled+run.Invalid+run.Foreign+run.Breaks != 0 {
		t.Fatalf("%+v", run)
	}
	if run.Latency.Count != 20*100 || run.Latency.Max <= 0 || run.Offered != 2000 {
		t.Fatalf("%d latencies, %v; offered %v", run.Latency.Count, run.Latency, run.Offered)
	}
	if run.Delivered < 1000 || run.Delivered > 2400 || run.PublisherLag.Count != 120 || run.Handshake.Count != 20+4 {
		t.Fatalf("delivered %v, published %d, handshakes %d", run.Delivered, run.PublisherLag.Count,
			run.Handshake.Count)
	}
	if o := run.Orders; o == nil || o.Want != 60 || o.Lost != 0 || o.Latency.Count != 50 || o.Arrival.Count != 50 {
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
	var fault *job.FaultError
	var invalid *job.InvalidError
	if !errors.As(err, &fault) && !errors.As(err, &invalid) {
		t.Fatalf("%v", err)
	}
	if run := res.Runs[0]; run.Lost != 1 || !strings.Contains(strings.Join(run.Faults, " "), "1 messages lost") {
		t.Fatalf("lost %d, %v", run.Lost, run.Faults)
	}
}

// The baseline's server answers the same clients and loses nothing at a low rate. It sends
// each message alone, or seven in one send, with fewer in the last send.
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
	var invalid *job.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if len(res.Runs) != 2 || res.Runs[1].Raw == nil {
		t.Fatalf("%d runs", len(res.Runs))
	}
	raw := res.Runs[1]
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
	var invalid *job.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if len(res.Runs) != 2 || res.Runs[0].Stalled != nil || res.Paired <= 0 {
		t.Fatalf("%d runs, p99 ratio %v", len(res.Runs), res.Paired)
	}
	s := res.Runs[1].Stalled
	if s == nil || s.Clients != 2 || s.Gone != 0 || s.Lost != 0 || s.Received < 2*50*128 || s.MostRecv > s.Received ||
		s.Unsent < 0 {
		t.Fatalf("%+v", s)
	}
}

func TestFanoutBadInput(t *testing.T) {
	g := newGate(t, "secret")
	f := func(want string, edit func(*FanoutConfig)) {
		t.Helper()
		cfg := g.fanout()
		edit(&cfg)
		_, err := Fanout(t.Context(), cfg)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q in one line", err, want)
		}
	}
	f("connection refused", func(c *FanoutConfig) { c.Target.URL = "ws://127.0.0.1:1/ws" })
	f("connection refused", func(c *FanoutConfig) { c.Target.Admin = "http://127.0.0.1:1" })
	f("not ws://", func(c *FanoutConfig) { c.Target.URL = "http://127.0.0.1:1/ws" })
	f("cannot find", func(c *FanoutConfig) { c.Target.URL = "ws://no.such.host.invalid/ws" })
	f("401 Unauthorized: bad token", func(c *FanoutConfig) { c.Target.Keys = job.Keys{Secret: "wrong"} })
	f("401 Unauthorized: bad token", func(c *FanoutConfig) { c.Target.Keys = job.Keys{Token: "x.y.z"} })
	f("use --procs 51", func(c *FanoutConfig) { c.Clients, c.Procs = 1_000_000, 1; checkLimit(t, c) })
	f("way to publish is missing", func(c *FanoutConfig) { c.Target.Direct = false })
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

// checkLimit skips the case of too many clients if this machine can hold them.
func checkLimit(t *testing.T, c *FanoutConfig) {
	t.Helper()
	if machine.DescriptorsFor(c.Clients, 1, 20_000) == nil || machine.CheckDescriptors(c.Clients, 1) == nil {
		t.Skip("the limit of descriptors is a million or more")
	}
}

// A value is found and checked wherever an envelope has it, also behind text that looks like one.
func TestFanoutTemplate(t *testing.T) {
	g := newGate(t, "secret")
	cfg := g.fanout()
	cfg.Template = `{"data":{"t":"x"},"seq":{{seq}},"inner":[{{value}}],"pos":"9:9","more":{"t":1}}`
	res, err := measured(t, cfg)
	run := res.Runs[0]
	if run.Want == 0 || run.Unique != run.Want || len(run.Faults) != 0 || run.Latency.Count == 0 {
		t.Fatalf("%v: %d of %d, %v", err, run.Unique, run.Want, run.Faults)
	}
	cfg.Baseline = true
	if _, err := Fanout(t.Context(), cfg); err == nil ||
		!strings.Contains(err.Error(), "--value-template cannot be combined") {
		t.Error(err)
	}
}

// Records that the gateway refused are named as the cause of losses. Records refused before
// the run are not.
func TestRefused(t *testing.T) {
	const bad, rooms = `tapecast_ingest_bad_total{topic="a",reason="field"}`, "tapecast_rooms_refused_total"
	from := scrape.Metrics{bad: 5, rooms: 2, `tapecast_ingest_bad_total{reason="json"}`: 3}
	to := scrape.Metrics{bad: 705, rooms: 2, `tapecast_ingest_bad_total{reason="json"}`: 3,
		"tapecast_auth_refused_total": 9}
	g := &Run{Counts: job.Counts{Lost: 70_000}, Refused: refusedRecords(from, to)}
	g.judge(false)
	if len(g.Faults) != 1 ||
		!strings.Contains(g.Faults[0], "lost, because the gateway refused 700 records (field 700)") {
		t.Errorf("%q", g.Faults)
	}
	g = &Run{Counts: job.Counts{Lost: 70_000}, Refused: refusedRecords(to, to)}
	if g.judge(false); len(g.Faults) != 1 || g.Faults[0] != "70000 messages lost" {
		t.Errorf("%q", g.Faults)
	}
}
