package plan

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"tapecast/bench/job"
)

// known is a model with figures like a real gateway's.
var known = Model{
	Base: 0.02, Idle: 1e-6, Send: 4e-6, Many: 2e-6, Cold: 0.5e-6, Chill: 1e-6, Crowd: 10_000, Wake: 200e-6,
	Frame: 60e-9, Byte: 0.1e-9, Record: 2e-6, Handshake: 150e-6, LoopShare: 1,
	Resident: 30e6, Connection: 1200, Tape: 1, Kernel: 5000, Envelope: 86,
	Floor50: 0.5, Floor99: 3, Rest50: 0.5, Rest99: 1, Always50: 1, Always99: 2,
}

func near(a, b, share float64) bool { return math.Abs(a-b) <= share*math.Abs(b) }

func loadOf(clients, rooms, rate, size float64) Load {
	return Load{Connections: clients, Loops: 1, Streams: []Stream{{Rooms: rooms, Members: clients / rooms, Rate: rate,
		Size: size}}}
}

func TestPredict(t *testing.T) {
	// 1,000 sends take about 7 ms, five times a second.
	f := known.Predict(loadOf(1000, 1, 5, 128))
	frame := 128.0 + 86 + 4
	send := known.Send + known.Many/10 + (known.Cold+known.Chill/1000)*(1-f.LoopBusy)*(1-f.LoopBusy) + known.Frame +
		known.Byte*frame
	if want := 1000 * 5 * send; !near(f.LoopBusy, want, 1e-9) ||
		!near(f.Cores, known.Base+1000*known.Idle+5*known.Record+5/1.01*known.Wake*(1-want)+want, 1e-9) {
		t.Errorf("busy %v, not %v; %v cores", f.LoopBusy, want, f.Cores)
	}
	if f.PerSend != 1 || !near(f.Pass, 1e6*send, 1e-9) || !near(f.P99, 3+f.Pass, 1e-9) || f.Bytes != 5000*frame {
		t.Errorf("%+v", f)
	}
	// 10,000 members and 400 messages: no pass ends before the next message.
	f = known.Predict(loadOf(10_000, 1, 400, 128))
	marginal := 4e6 * (known.Frame + known.Byte*frame)
	round := 10_000 * (known.Send + known.Many) / (1 - marginal)
	if f.LoopBusy != 1 || !near(f.Pass, 1e3*round, 1e-9) || !near(f.PerSend, 400*round, 1e-9) ||
		!near(f.P99, 3+2e3*round, 1e-9) {
		t.Errorf("%+v, round %v", f, round)
	}
	// All of the loop's time is accounted for.
	if !near(f.Cores-known.Base-10_000*known.Idle-400*known.Record, 1, 1e-9) {
		t.Errorf("a loop that is always busy takes %v", f.Cores)
	}
	if f := known.Predict(loadOf(10_000, 1, 1000, 2000)); !f.Saturated || !math.IsInf(f.P99, 1) {
		t.Errorf("20 GB/s can be served: %+v", f)
	}
}

// More load is never less work. Once the loop is always busy, it is never fresher. There is no
// jump where sends begin to carry more than one frame.
func TestPredictGrows(t *testing.T) {
	last := known.Predict(loadOf(5000, 1, 0.1, 128))
	for rate := 0.2; rate < 3000; rate *= 1.01 {
		f := known.Predict(loadOf(5000, 1, rate, 128))
		// Warmer caches make a pass a little shorter, as long as there are rests.
		if f.Cores < last.Cores-1e-9 || f.Pass < 0.99*last.Pass || last.LoopBusy == 1 && f.Pass < last.Pass-1e-9 {
			t.Fatalf("at %v: %+v after %+v", rate, f, last)
		}
		if f.Pass > 1.1*last.Pass && f.Pass < 200 {
			t.Fatalf("at %v a pass grows from %v to %v", rate, last.Pass, f.Pass)
		}
		last = f
	}
}

// The share of a loop is the one at which its sends cost what they cost at that share.
func TestBusyOf(t *testing.T) {
	for warm := 0.0; warm < 1; warm += 0.01 {
		for cold := 0.0; cold < 3; cold += 0.1 {
			b := busyOf(warm, cold)
			if !near(b, warm+cold*thaw(b), 1e-9) || b < warm || b > 1 {
				t.Fatalf("of %v and %v: %v", warm, cold, b)
			}
		}
	}
	if b := busyOf(1.5, 2); b < 1 {
		t.Errorf("a loop with more than it can do rests: %v", b)
	}
}

func TestNonNegative(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		x := []float64{rnd.Float64(), rnd.Float64(), 0, rnd.Float64()}
		var rows [][]float64
		var want []float64
		for range 12 {
			r := []float64{rnd.Float64(), rnd.Float64(), rnd.Float64(), rnd.Float64()}
			rows = append(rows, r)
			want = append(want, r[0]*x[0]+r[1]*x[1]+r[3]*x[3])
		}
		got := nonNegative(rows, want)
		for k := range x {
			if math.Abs(got[k]-x[k]) > 1e-6 {
				t.Fatalf("%v, not %v", got, x)
			}
		}
	}
	// The best without the bound would be -1.
	if got := nonNegative([][]float64{{1}, {1}}, []float64{-1, -1}); got[0] != 0 {
		t.Errorf("%v", got)
	}
}

// A calibration over points of a known model finds that model, on a machine that is faster at
// times and slower at others.
func TestFit(t *testing.T) {
	cfg := CalibrateConfig{Clients: 10_000, Most: 400, Keyed: "keyed:{key}"}
	rnd := rand.New(rand.NewPCG(3, 4))
	c := &Calibration{Loops: 1, Model: Model{Base: known.Base, Idle: known.Idle}}
	for _, tr := range cfg.trials() {
		l := loadOf(float64(tr.clients), float64(tr.groups), tr.rate, float64(tr.size))
		l.TapeBytes = 30 * tr.rate * float64(tr.groups*tr.size)
		slowness := 0.9 + 0.3*rnd.Float64()
		slow := known.slowed(slowness)
		f := slow.Predict(l)
		noise := func() float64 { return 1 + 0.02*(2*rnd.Float64()-1) }
		const s = 8.0
		c.Points = append(c.Points, Point{Load: l, Seconds: s, Cores: f.Cores * noise(), Bytes: f.Bytes,
			Sends: s * f.Delivered / f.PerSend, Frames: s * f.Delivered,
			Wire: s * f.Bytes, Records: s * tr.rate * float64(tr.groups), Passing: s * f.LoopBusy, Busy: s * f.LoopBusy,
			Resident: f.Resident * noise(), Tapes: l.TapeBytes, P50: f.P50 * noise(), P99: f.P99 * noise(),
			Slowness: slowness})
	}
	c.fit()
	if c.Worst > 0.04 {
		t.Errorf("the model is %v off: %+v", c.Worst, c.Model)
	}
	m := c.Model
	if !near(m.Send+m.Many, known.Send+known.Many, 0.05) || !near(m.LoopShare, 1, 0.05) ||
		!near(m.Envelope, known.Envelope, 0.01) || !near(m.Resident, known.Resident, 0.1) {
		t.Errorf("%+v", m)
	}
	for _, l := range []Load{loadOf(3000, 1, 33, 700), loadOf(9000, 90, 2, 300), loadOf(7000, 1, 250, 128)} {
		want, got := known.Predict(l), m.Predict(l)
		if !near(got.Cores, want.Cores, 0.05) || !near(got.P99, want.P99, 0.15) {
			t.Errorf("%+v: %v cores and p99 %v, not %v and %v", l, got.Cores, got.P99, want.Cores, want.P99)
		}
	}
}

func TestPlan(t *testing.T) {
	cal := &Calibration{Model: known, Loops: 1, MostConnections: 10_000, MostDelivered: 4e6, MostSize: 1000}
	c := Config{Connections: 500_000, P99: 50, Spare: 1, Cores: 8,
		Streams: []Feed{{Name: "prices", Rooms: 1, Mean: 20, Peak: 60, Size: 128},
			{Name: "orders", Rooms: 500_000, Joined: 1, Mean: 0.01, Peak: 0.1, Size: 300}}}
	p, err := New(c, cal)
	if err != nil {
		t.Fatal(err)
	}
	if p.Lost.P99 > 50 || p.Peak.P99 > p.Lost.P99 || p.Limits[0].Used > 1 {
		t.Errorf("after losing one p99 is %v, before %v", p.Lost.P99, p.Peak.P99)
	}
	if l := p.limits(p.question.load(p.Nodes-2, p.Loops, true))[0]; l.Used <= 1 {
		t.Errorf("a node fewer would have done: %v nodes, %+v", p.Nodes, l)
	}
	if got := p.Load.Streams[1]; !near(got.Rooms*got.Members, p.Load.Connections, 1e-6) {
		t.Errorf("orders go to %v rooms of %v", got.Rooms, got.Members)
	}
	var b strings.Builder
	if err := p.WriteText(&b); err != nil || !strings.Contains(b.String(), "EXTRAPOLATED") ||
		strings.Contains(b.String(), "%!") {
		t.Errorf("%v\n%s", err, b.String())
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		q := c
		q.Streams = append([]Feed{}, c.Streams...)
		change(&q)
		if _, err := New(q, cal); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
	f("--connections 0", func(c *Config) { c.Connections = 0 })
	f("--rate 0", func(c *Config) { c.Streams[0].Mean = 0 })
	f("--peak 5 is less than --rate 20", func(c *Config) { c.Streams[0].Peak = 5 })
	f("--joined 2 is more than --rooms 1", func(c *Config) { c.Streams[0].Joined = 2 })
	f("freshness", func(c *Config) { c.P99 = 2 }) // the floor alone is 3 ms
	f("none can be negative", func(c *Config) { c.Streams[0].Interval = -1 })
	f("give --interval or --max-rate", func(c *Config) { c.Streams[0].Keys = 5 })
	f("freshness", func(c *Config) { c.Streams[0].Interval = 1 }) // messages wait for a second, as asked
	f("network", func(c *Config) { c.Streams[0].Mean, c.Streams[0].Peak, c.Streams[0].Size = 1e6, 1e6, 1e5 })
}

// Members with fewer sends cost less. They get the same messages, or the newest of each key,
// and wait longer. The plan's question is what a node then does.
func TestPredictInterval(t *testing.T) {
	every := func(every, keys float64) Forecast {
		l := loadOf(1000, 1, 100, 128)
		l.Streams[0].Every, l.Streams[0].Keys = every, keys
		return known.Predict(l)
	}
	at, rarely, newest := every(0, 0), every(0.2, 0), every(0.2, 5)
	if f := every(0.001, 0); f != at { // messages are further apart than that
		t.Errorf("%+v, want %+v", f, at)
	}
	if rarely.Delivered != at.Delivered || !near(rarely.PerSend, 20, 1e-9) || rarely.Cores >= at.Cores {
		t.Errorf("%+v beside %+v", rarely, at)
	}
	if got := rarely.P99 - 0.99*200; got < known.Floor99 || rarely.P50 < 100 {
		t.Errorf("p99 %v ms, p50 %v ms: a message waits for up to 200 ms", rarely.P99, rarely.P50)
	}
	// Of 20 messages to 5 random keys, nearly all 5 keys occur.
	n := newest.PerSend
	if n < 4.8 || n > 5 || !near(newest.Delivered, 1000*5*n, 1e-6) || newest.Cores >= rarely.Cores {
		t.Errorf("%+v", newest)
	}
	q := Feed{Interval: 0.1, MaxRate: 5}
	if q.every() != 0.2 {
		t.Errorf("every %v s", q.every())
	}
	if q.MaxRate = 50; q.every() != 0.1 {
		t.Errorf("every %v s", q.every())
	}
}

// A gateway at work corrects the model. An idle one does not.
func TestCorrect(t *testing.T) {
	file := t.TempDir() + "/metrics"
	text := "tapecast_uptime_seconds 100\nprocess_cpu_seconds_total 120\nprocess_resident_memory_bytes " +
		"60e6\ntapecast_connections 10000\n" +
		"tapecast_sends_total 10e6\ntapecast_messages_sent_total 10e6\ntapecast_bytes_sent_total " +
		"0\ntapecast_appended_total 0\ntapecast_tape_bytes 0\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLive(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &Calibration{Model: known}
	// 0.03 cores at rest, and 0.1 million sends a second of 6.06 µs: 0.636 cores, where it takes 1.2.
	if said := c.Correct(l); len(said) != 2 || !near(c.Model.Send, known.Send*1.2/0.636, 1e-6) ||
		!near(c.Model.Connection, 3000, 1e-6) {
		t.Errorf("%q: %+v", said, c.Model)
	}
	c = &Calibration{Model: known}
	if said := c.Correct(&Live{Seconds: 10, CPU: 0.2, Connections: 10}); c.Model != known || len(said) != 2 ||
		!strings.Contains(said[0], "only") {
		t.Errorf("%q: %+v", said, c.Model)
	}
	for _, bad := range []string{"/does/not/exist", file + "x"} {
		os.WriteFile(file+"x", []byte("hello\n"), 0o600)
		if _, err := ReadLive(t.Context(), bad, 0); !errors.As(err, new(*job.InputError)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// A run that proves nothing is made again, but not for ever. Other errors are final.
func TestMeasuredAgain(t *testing.T) {
	f := func(left, wantRuns int, broken, want error) {
		t.Helper()
		runs, good := 0, &Point{}
		p, err := unspoilt(nil, func() (*Point, error) {
			if runs++; runs <= left {
				return nil, broken
			}
			return good, nil
		})
		if runs != wantRuns || err != want || want == nil && p != good {
			t.Errorf("%d runs, %v: %d runs, want %d and %v", left, err, runs, wantRuns, want)
		}
	}
	invalid, other := job.Invalidf("slow"), errors.New("other")
	f(0, 1, nil, nil)
	f(2, 3, invalid, nil)
	f(3, 3, invalid, invalid)
	f(1, 1, other, other)
}

// TestReferenceRests: the reference load must not keep loops busy, not even in an hour that
// takes a fifth more CPU than the calibration's.
func TestReferenceRests(t *testing.T) {
	for _, file := range []string{"../calibration.json", "../calibration-tls.json"} {
		cal, err := LoadCalibration(file)
		if err != nil {
			t.Fatal(err)
		}
		slow := cal.Model.slowed(1.2)
		cfg := CalibrateConfig{Clients: int(cal.MostConnections)}
		r := cfg.reference()
		f := slow.Predict(loadOf(float64(r.clients), float64(r.groups), r.rate, float64(r.size)))
		if f.LoopBusy > 0.85 {
			t.Errorf("%s: the reference load of %d clients keeps loops busy for %.2f of their time", file, r.clients,
				f.LoopBusy)
		}
	}
	measured := Point{Seconds: 4, Busy: 7.5}
	if doubt := measured.restless(2); doubt != "" {
		t.Error(doubt)
	}
	measured.Busy = 7.8
	if doubt := measured.restless(2); !strings.Contains(doubt, "98 %") || !strings.Contains(doubt, "--clients") {
		t.Errorf("of a loop that was always busy: %q", doubt)
	}
}
