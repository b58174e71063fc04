package hostile

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
	"tapecast/rooms/testwait"
)

// attack runs a kind against the recorder until enough has happened, or for a while.
func (r *recorder) attack(t *testing.T, job Job, enough func() bool) *Tally {
	t.Helper()
	job.Addr, job.Host, job.Path = r.ln.Addr().String(), "gate", "/ws"
	job.Connections, job.Rate = max(job.Connections, 1), max(job.Rate, 200)
	w := startHostile(t, job)
	defer w.stop()
	go func() {
		defer w.stop()
		if !testwait.Holds(testwait.Patience, func() (done bool) { r.keep(func() { done = enough() }); return done }) {
			t.Errorf("%s: that it did not do in 20 s", job.Kind)
		}
	}()
	out := w.run(t)
	r.serving.Wait() // all connections are closed
	return out
}

// hostileProcess runs Hostile on pipes, as another process would.
type hostileProcess struct {
	in   *io.PipeWriter
	enc  *json.Encoder
	dec  *json.Decoder
	done chan error
}

func startHostile(t *testing.T, job Job) *hostileProcess {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	w := &hostileProcess{in: inW, enc: json.NewEncoder(inW), dec: json.NewDecoder(outR), done: make(chan error, 1)}
	go func() {
		w.done <- Run(inR, outW)
		_ = outW.Close()
	}()
	var a Tally
	if err := w.enc.Encode(job); err != nil {
		t.Fatal(err)
	}
	if err := w.dec.Decode(&a); err != nil || a.Err != "" {
		t.Fatalf("%v, %s", err, a.Err)
	}
	return w
}

// stop ends the process, and an attack under way.
func (w *hostileProcess) stop() { _ = w.in.Close() }

func (w *hostileProcess) run(t *testing.T) *Tally {
	t.Helper()
	if err := w.enc.Encode(Order{From: machine.MonotonicIn(0), To: machine.MonotonicIn(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	a := NewTally()
	if err := w.dec.Decode(a); err != nil {
		t.Fatal(err)
	}
	if err := <-w.done; err != nil {
		t.Fatal(err)
	}
	return a
}

// A hostile client that is closed comes back. Its close and its answers are counted.
func TestHostileComesBack(t *testing.T) {
	r := newRecorder(t, func(string) ([]byte, bool) {
		b := proto.AppendServerFrame(nil, proto.OpText,
			[]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32004,"message":"no"}}`))
		return proto.AppendServerFrame(b, proto.OpClose, append([]byte{4108 >> 8, 4108 & 255}, "rate limited"...)), true
	})
	job := Job{Kind: "requests", Connections: 2}
	job.Sources = []string{"127.0.0.101", "127.0.0.102"}
	out := r.attack(t, job, func() bool { return len(r.from) >= 6 })
	if out.Closes["4108 rate limited"] == 0 || out.Errors["-32004"] == 0 {
		t.Errorf("%+v", out)
	}
	if !slices.Contains(r.from, "127.0.0.101") || !slices.Contains(r.from, "127.0.0.102") {
		t.Errorf("they came from %v", r.from)
	}
}

// However fast it is closed, a hostile client waits before it comes back.
func TestHostileTakesItsTime(t *testing.T) {
	r := newRecorder(t, nil)
	r.keep(func() { r.shut = true })
	began := time.Now()
	out := r.attack(t, Job{Kind: "silent"}, func() bool { return len(r.from) >= 5 })
	if pauses := int64(time.Since(began) / comeBack); out.Opened < 4 || out.Opened > pauses+1 {
		t.Errorf("%d opened in %d pauses", out.Opened, pauses)
	}
}

// Toggling joins with a snapshot and leaves, in turn, at its pace.
func TestHostileToggles(t *testing.T) {
	r := newRecorder(t, answered)
	job := Job{Kind: "toggle", Room: "prices", Keys: job.Keys{Token: "tok"}}
	r.attack(t, job, func() bool { return len(r.texts) >= 6 })
	for n, text := range r.texts {
		want := `{"method":"subscribe","params":{"rooms":["prices"],"snapshot":true}`
		if n%2 == 1 {
			want = `{"method":"unsubscribe","params":{"rooms":["prices"]}`
		}
		if !strings.HasPrefix(text, want) {
			t.Fatalf("request %d: %s", n, text)
		}
	}
	if len(r.auth) != 1 || r.auth[0] != "Authorization: Bearer tok" {
		t.Errorf("tokens %v", r.auth)
	}
}

// Resuming asks for everything that its own room ever had, again and again.
func TestHostileResumes(t *testing.T) {
	r := newRecorder(t, answered)
	job := Job{Kind: "resume", Room: "orders:{user}", Users: 1, Connections: 2}
	r.attack(t, job, func() bool { return len(r.texts) >= 12 })
	since := 0
	for _, text := range r.texts {
		if strings.Contains(text, `"since":{"orders:hostile-1":{"0":-1,"3":-1,"epoch":"e1"}}`) {
			since++
		}
	}
	if since < 2 {
		t.Fatalf("%d of %d ask for the past: %v", since, len(r.texts), r.texts)
	}
}

// A stalled client asks for the past, and then reads nothing more than its socket takes.
func TestHostileStalls(t *testing.T) {
	r := newRecorder(t, func(text string) ([]byte, bool) {
		if !strings.Contains(text, `"since"`) {
			return answered(text)
		}
		return proto.AppendServerFrame(nil, proto.OpText, make([]byte, 64<<20)), true // no socket takes this
	})
	out := r.attack(t, Job{Kind: "stalled", Room: "trades"}, func() bool { return r.stuck })
	const since = `"since":{"trades":{"0":-1,"3":-1,"epoch":"e1"}}`
	if out.Read > 1<<20 || len(r.texts) < 3 || !strings.Contains(r.texts[2], since) {
		t.Fatalf("%d bytes read, %v", out.Read, r.texts)
	}
}

// Each connection invents a thousand names, and new ones when it comes back.
func TestHostileInvents(t *testing.T) {
	requests := 0
	r := newRecorder(t, nil)
	r.answer = func(string) ([]byte, bool) {
		if requests++; requests%(junkRooms/junkEach) == 0 { // one connection at a time
			return proto.AppendServerFrame(nil, proto.OpClose, []byte{4208 >> 8, 4208 & 255}), true
		}
		return nil, false
	}
	job := Job{Kind: "junk-rooms", Junk: "trades:"}
	r.attack(t, job, func() bool { return len(r.texts) >= 2*junkRooms/junkEach })
	names := map[string]bool{}
	for _, text := range r.texts[:2*junkRooms/junkEach] {
		var m clientRequest
		if err := json.Unmarshal([]byte(text), &m); err != nil || m.Method != "subscribe" {
			t.Fatalf("%v: %.100s", err, text)
		}
		for _, name := range m.Params.Rooms {
			if names[name] = true; !strings.HasPrefix(name, "trades:JUNK") {
				t.Fatal(name)
			}
		}
	}
	if len(names) != 2*junkRooms {
		t.Fatalf("%d names", len(names))
	}
}

// Connections that are not upgraded send nothing, or only a ClientHello.
func TestHostileMute(t *testing.T) {
	f := func(kind string, secure bool, enough func(*recorder) bool, said func([]byte) bool) {
		t.Helper()
		r := newRecorder(t, nil)
		r.keep(func() { r.mute = true })
		job := Job{Kind: kind, Connections: 2, Users: 1}
		job.TLS = secure
		r.attack(t, job, func() bool { return enough(r) })
		if !said(r.raw) {
			t.Errorf("%s said % x", kind, proto.Head(r.raw))
		}
	}
	f("silent", false, func(r *recorder) bool { return len(r.from) == 2 }, func(b []byte) bool { return len(b) == 0 })
	whole := func(b []byte) int { // of two hellos with the same length
		if len(b) < 5 || b[0] != 22 {
			return -1
		}
		return 2 * (5 + int(b[3])<<8 + int(b[4]))
	}
	both := func(r *recorder) bool { return len(r.raw) > 0 && len(r.raw) >= whole(r.raw) }
	f("hello", true, both, func(b []byte) bool { return len(b) == whole(b) })
}

// Without a token, none is sent.
func TestHostileAnonymous(t *testing.T) {
	r := newRecorder(t, func(string) ([]byte, bool) { return nil, false })
	job := Job{Kind: "requests", Anonymous: true, Keys: job.Keys{Secret: "s"}}
	out := r.attack(t, job, func() bool { return len(r.texts) > 10 })
	if len(r.auth) != 0 || out.Frames < 10 || out.Bytes < out.Frames*20 {
		t.Fatalf("%v, %+v", r.auth, out)
	}
}

// A sink answers the handshake, reads everything that a flood writes, and sends nothing.
func TestHostileSink(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s, err := newSinkServer(SinkJob{TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		h, err := newAttacker(Job{
			Job: client.Job{Unknown: true, Endpoint: job.Endpoint{
				Addr: s.ln.Addr().String(), Host: "localhost", Path: "/ws", TLS: secure,
			}},
			Kind: "pings", Connections: 3, Rate: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		out := h.run(t.Context(), Order{From: machine.MonotonicIn(0), To: machine.MonotonicIn(300 * time.Millisecond)})
		s.close() // when everything that came was read
		if out.Opened < 1 || out.Frames == 0 || out.Read != 0 || out.Answers != 0 || len(out.Closes) != 0 {
			t.Errorf("TLS %v: %+v", secure, out)
		}
		if got := s.read.Load(); got == 0 || got > out.Bytes+out.Opened*1000 {
			t.Errorf("TLS %v: %d bytes read of %d written", secure, got, out.Bytes)
		}
	}
}

// Both processes end with their input. What cannot be done is an answer.
func TestHostileProcesses(t *testing.T) {
	for name, run := range map[string]func(io.Reader, io.Writer) error{"hostile": Run, "sink": RunSink} {
		err := run(strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "cannot read the job") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b strings.Builder
	err := Run(strings.NewReader(`{"kind":"kindness"}`), &b)
	if err != nil || !strings.Contains(b.String(), "unknown kind") {
		t.Errorf("%v, %s", err, b.String())
	}
	b.Reset()
	err = RunSink(strings.NewReader(`{} {}`), &b)
	if err != nil || strings.Count(b.String(), `"addr":"127.0.0.1:`) != 2 {
		t.Errorf("%v, %s", err, b.String())
	}
}
