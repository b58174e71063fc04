package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
	"tapecast/bench/worker"
	"tapecast/rooms/testwait"
)

// inProcess runs a Worker on pipes, as another process would.
type inProcess struct {
	t   *testing.T
	enc *json.Encoder
	dec *json.Decoder
}

func startWorker(t *testing.T, job job.Job) *inProcess {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- worker.Run(inR, outW)
		_ = outW.Close()
	}()
	t.Cleanup(func() {
		_ = inW.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w := &inProcess{t: t, enc: json.NewEncoder(inW), dec: json.NewDecoder(outR)}
	w.ask(job)
	return w
}

func (w *inProcess) ask(q any) job.Answer {
	w.t.Helper()
	var a job.Answer
	if err := w.enc.Encode(q); err != nil {
		w.t.Fatal(err)
	}
	if err := w.dec.Decode(&a); err != nil {
		w.t.Fatal(err)
	}
	if a.Err != "" {
		w.t.Fatal(a.Err)
	}
	return a
}

func (g *gate) job(clients int, size int) job.Job {
	return job.Job{
		Endpoint: job.Endpoint{Addr: g.ln.Addr().String(), Host: "gate", Path: "/ws",
			Sources: []string{"127.0.0.2", "127.0.0.3"}},
		Keys: job.Keys{Secret: g.secret}, Clients: clients, Rooms: []string{"prices"}, Size: size, Bare: g.bare,
		Check: true,
	}
}

// pastPlan returns a run whose messages were due at known times in the past. What is sent at
// once is delivered with known delays.
func pastPlan(ago time.Duration, rate float64) job.Timing {
	p := job.Timing{Anchor: machine.Anchor()}
	p.Schedule, _ = job.NewSchedule(machine.MonotonicIn(-ago)+p.Anchor, rate)
	p.From = p.Schedule.Start
	p.To = p.Schedule.Start + int64(ago) + 2e8
	return p
}

// Known delays come out. Messages were due from 5 s to 1 s ago, evenly, and are sent now. Their
// latencies are spread evenly over that range, within 2 %, plus what a busy machine takes until
// the last of them is read.
func TestKnownDelays(t *testing.T) {
	for _, bare := range []bool{true, false} {
		g := newGate(t, "secret")
		g.bare = bare
		const clients, total = 3, 400
		w := startWorker(t, g.job(clients, 128))
		w.ask(job.Order{Op: "connect", Clients: clients, Deadline: machine.MonotonicIn(testwait.Patience)})
		p := pastPlan(5*time.Second, 100)
		w.ask(job.Order{Op: "run", Timing: p})
		shape, _ := job.NewValueShape(128, "")
		passed := func() float64 { return float64(machine.MonotonicIn(-5*time.Second)+p.Anchor-p.Schedule.Start) / 1e6 }
		least := passed()
		for n := range int64(total) {
			g.send("prices", shape.Make(nil, p.Schedule.Due(n), n))
		}
		got := w.ask(job.Order{Op: "finish", Total: total, Deadline: machine.MonotonicIn(testwait.Patience)}).Results
		most := passed()
		if got.Unique != clients*total || got.Want != clients*total ||
			got.Lost+got.Late+got.Doubled+got.Invalid+got.Foreign+got.Breaks+got.Early != 0 {
			t.Fatalf("%+v", got)
		}
		q := got.Latency.Quantiles()
		f := func(got, want float64) {
			t.Helper()
			if got < 0.98*(want+least) || got > 1.02*(want+most) {
				t.Errorf("bare %v: %.1f ms, want %.1f ms within 2 %%, and %.1f to %.1f ms more", bare, got, want, least,
					most)
			}
		}
		f(q.P50, 3000)
		f(q.P90, 4600)
		f(q.P99, 4960)
		f(q.P999, 5000)
		f(q.Max, 5000)
		if q.Count != clients*total {
			t.Errorf("%d latencies, want %d", q.Count, clients*total)
		}
		if got.WindowFrames != clients*total || got.WindowBytes != got.Bytes {
			t.Errorf("%d frames in the window, want %d", got.WindowFrames, clients*total)
		}
	}
}

// tally has two clients read 50 messages of a gate that edits them, and returns what they count.
// Where want has a loss, it does not wait long: what is lost never comes.
func tally(t *testing.T, check bool, edit gateEdit, want job.Tally) *job.Tally {
	t.Helper()
	g := newGate(t, "")
	g.edit = edit
	const clients, total = 2, 50
	j := g.job(clients, 128)
	j.Check = check
	w := startWorker(t, j)
	w.ask(job.Order{Op: "connect", Clients: clients, Deadline: machine.MonotonicIn(testwait.Patience)})
	p := pastPlan(time.Second, 100)
	w.ask(job.Order{Op: "run", Timing: p})
	shape, _ := job.NewValueShape(128, "")
	for n := range int64(total) {
		g.send("prices", shape.Make(nil, p.Schedule.Due(n), n))
	}
	deadline := testwait.Patience
	if want.Lost > 0 && want.Gone == 0 {
		deadline = time.Second
	}
	return w.ask(job.Order{Op: "finish", Total: total, Deadline: machine.MonotonicIn(deadline)}).Results
}

// gateEdit is the type of gate.edit.
type gateEdit = func(c *gateConn, n int64, b []byte) [][]byte

// editOne edits one message of one client.
func editOne(client int, number int64, edit func(b []byte) [][]byte) gateEdit {
	return func(c *gateConn, n int64, b []byte) [][]byte {
		if c.n == client && n == number {
			return edit(b)
		}
		return [][]byte{b}
	}
}

// Each fault of a gateway is counted as its own kind.
func TestFaultsAreFound(t *testing.T) {
	feed := func(c job.Counts) job.FeedTally { return job.FeedTally{Counts: c} }
	f := func(name string, check bool, edit gateEdit, want job.Tally) {
		t.Helper()
		got := tally(t, check, edit, want)
		if got.Lost != want.Lost || got.Late != want.Late || got.Doubled != want.Doubled ||
			got.Invalid != want.Invalid ||
			got.Gone != want.Gone || got.Foreign != want.Foreign || got.Breaks != want.Breaks {
			t.Errorf("%s: lost %d, late %d, doubled %d, invalid %d, gone %d, foreign %d, breaks %d (%v)", name,
				got.Lost, got.Late, got.Doubled, got.Invalid, got.Gone, got.Foreign, got.Breaks, got.Faults)
		}
	}
	dropped := func([]byte) [][]byte { return nil }
	doubled := func(b []byte) [][]byte { return [][]byte{b, b} }
	f("none", true, nil, job.Tally{})
	f("a message dropped", false, editOne(1, 7, dropped), job.Tally{FeedTally: feed(job.Counts{Lost: 1})})
	f("dropped, the chain is checked", true, editOne(1, 7, dropped),
		job.Tally{FeedTally: feed(job.Counts{Lost: 1}), Breaks: 1})
	f("the last ones dropped", true, func(c *gateConn, n int64, b []byte) [][]byte {
		if n >= 48 {
			return nil
		}
		return [][]byte{b}
	}, job.Tally{FeedTally: feed(job.Counts{Lost: 4})})
	f("a message doubled", false, editOne(0, 9, doubled), job.Tally{FeedTally: feed(job.Counts{Doubled: 1})})
	f("the last one doubled", false, func(c *gateConn, n int64, b []byte) [][]byte {
		if n == 49 {
			return doubled(b)
		}
		return [][]byte{b}
	}, job.Tally{FeedTally: feed(job.Counts{Doubled: 2})})
	f("two swapped", false, func(c *gateConn, n int64, b []byte) [][]byte {
		switch {
		case c.n == 0 && n == 20:
			c.held = b
			return nil
		case c.n == 0 && n == 21:
			return [][]byte{b, c.held}
		}
		return [][]byte{b}
	}, job.Tally{FeedTally: feed(job.Counts{Late: 1})})
	f("torn", false, editOne(0, 40, func(b []byte) [][]byte {
		return [][]byte{b[:len(b)/2]}
	}), job.Tally{FeedTally: feed(job.Counts{Lost: 10}), Invalid: 1, Gone: 1})
	f("another's bytes in between", true, editOne(0, 45, func(b []byte) [][]byte {
		return [][]byte{b[:50], b, b[50:]}
	}), job.Tally{FeedTally: feed(job.Counts{Lost: 5}), Invalid: 1, Gone: 1})
	f("closed", true, editOne(0, 30, func([]byte) [][]byte {
		return [][]byte{proto.AppendServerFrame(nil, proto.OpClose, []byte{4208 >> 8, 4208 & 255, 's'})}
	}), job.Tally{FeedTally: feed(job.Counts{Lost: 20}), Gone: 1})
	f("the value changed", true, editOne(0, 49, func(b []byte) [][]byte {
		b = bytes.Clone(b)
		b[len(b)-10] = 'y'
		return [][]byte{b}
	}), job.Tally{FeedTally: feed(job.Counts{Lost: 1}), Invalid: 1, Gone: 1})
}

// Messages to one client only are checked at that client alone.
func TestOwnMessages(t *testing.T) {
	g := newGate(t, "secret")
	j := g.job(4, 128)
	j.First, j.Rooms, j.Stamp = 100, []string{"orders:{user}"}, true
	j.Assignments = []job.Assignment{{Streams: 4, Each: 1, Rooms: j.Rooms, First: 100}}
	w := startWorker(t, j)
	w.ask(job.Order{Op: "connect", Clients: 4, Deadline: machine.MonotonicIn(testwait.Patience)})
	p := pastPlan(time.Second, 100)
	w.ask(job.Order{Op: "run", Timing: p})
	shape, _ := job.NewValueShape(128, "")
	for n := range int64(42) {
		g.send("orders:"+job.UserName(100+int(n%4)), shape.Make(nil, p.Schedule.Due(n), n))
	}
	got := w.ask(job.Order{Op: "finish", Total: 42, Deadline: machine.MonotonicIn(testwait.Patience)}).Results
	if got.Unique != 42 || got.Want != 42 || got.Lost != 0 || got.Foreign != 0 {
		t.Fatalf("%+v", got)
	}
	// The kernel has a message before we read it, and after it was due.
	if a, l := got.Arrival.Quantiles(), got.Latency.Quantiles(); a.Count != 42 || a.Max < 550 || a.Max > l.Max+0.01 {
		t.Fatalf("arrival %v, latency %v", a, l)
	}
}
