package resumes

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tapecast/bench"
	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/proto"
)

func TestPositions(t *testing.T) {
	p, err := parsePositions(json.RawMessage(`{"epoch":"e1","0":9,"1":-1,"2":4}`))
	if err != nil || p.records() != 15 {
		t.Fatalf("%+v, %v", p, err)
	}
	f := func(n int64, want string) {
		t.Helper()
		if got := p.back(n).since("r"); got != `{"r":`+want+`}` {
			t.Errorf("%d back: %s", n, got)
		}
	}
	f(0, `{"0":9,"1":-1,"2":4,"epoch":"e1"}`)
	f(1, `{"0":8,"1":-1,"2":4,"epoch":"e1"}`)
	f(4, `{"0":7,"1":-1,"2":2,"epoch":"e1"}`)
	f(14, `{"0":0,"1":-1,"2":-1,"epoch":"e1"}`)
	f(99, `{"0":-1,"1":-1,"2":-1,"epoch":"e1"}`)
	for _, bad := range []string{`[]`, `{"0":"x"}`, `{"zero":1}`} {
		if _, err := parsePositions(json.RawMessage(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// All clients lack the given numbers, neighbours lack different ones, and each time the same.
func TestLacks(t *testing.T) {
	c := Config{Least: 200, Most: 2000, Count: 100}
	low, high := false, false
	for n := range c.Count {
		v := c.lacks(n)
		if v < 200 || v > 2000 || v != c.lacks(n) || n > 0 && v == c.lacks(n-1) {
			t.Fatalf("client %d lacks %d", n, v)
		}
		low, high = low || v < 300, high || v > 1900
	}
	if !low || !high {
		t.Error("not all pasts are there")
	}
}

// resumedBy makes a client resume at a gateway. The gateway answers the first request with the
// given frames, and the second with those after an empty one. The client knows partition 0 up
// to 5, and lacks three records.
func resumedBy(t *testing.T, frames ...string) (got resumed, why string) {
	t.Helper()
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	go func() {
		defer func() { _ = there.Close() }()
		in := bufio.NewReader(there)
		for {
			if _, err := io.CopyN(io.Discard, in, 1); err != nil {
				return
			}
			_, _ = in.Discard(in.Buffered()) // one write of the client's: a request
			for len(frames) > 0 {
				f := frames[0]
				if frames = frames[1:]; f == "" {
					break
				}
				op := byte(proto.OpText)
				if f == "ping" {
					op = proto.OpPing
				}
				if _, err := there.Write(proto.AppendServerFrame(nil, op, []byte(f))); err != nil {
					return
				}
			}
			if len(frames) == 0 {
				return
			}
		}
	}()
	r := resumption{
		conn: &client.Conn{Conn: here, In: bufio.NewReader(here)}, room: "r",
		head: positions{last: map[int64]int64{0: 8}}, at: positions{last: map[int64]int64{0: 5}},
	}
	why = r.run(t.Context())
	return r.got, why
}

// A client is done when it has each record once, however often it had to ask. It reports what
// else it was given.
func TestResumption(t *testing.T) {
	const joined = `{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"r","recovered":true}]}}`
	record := func(offset string) string {
		return `{"room":"r","pos":"0:` + offset + `","type":"t","data":{"t":1}}`
	}
	f := func(want string, records int64, frames ...string) {
		t.Helper()
		got, why := resumedBy(t, frames...)
		if why != want || got.records != records || got.bytes != records*7 {
			t.Errorf("%q, %+v; want %q and %d records", why, got, want, records)
		}
	}
	f("", 3, joined, record("6"), record("7"), record("8"))
	f("", 3, record("6"), record("7"), record("8"), joined)
	f("", 3, joined, `{"method":"positions","params":{}}`, record("6"), record("7"), record("8"))
	f("a message was left out", 1, joined, record("6"), record("8"))
	f("a message came twice", 1, joined, record("6"), record("6"))
	f("a message without room, pos or data", 0, joined, `{"room":"other","pos":"0:6","data":1}`)
	f("got a notice: gap", 1, joined, record("6"), `{"method":"gap","params":{"room":"r"}}`)
	f("ended without a close frame", 2, joined, record("6"), record("7"))
	f("not recovered", 0, strings.Replace(joined, "true", "false", 1))
	f("-32008 too old", 0, `{"id":1,"result":{"rooms":[{"room":"r","error":{"code":-32008,"message":"too old"}}]}}`)
	f("-32004 slower", 0, `{"id":1,"error":{"code":-32004,"message":"slower"}}`)
	later := `{"id":1,"result":{"rooms":[{"room":"r","error":{"code":-32010,"message":"later",` +
		`"data":{"retryAfter":1}}}]}}`
	again := strings.Replace(joined, `"id":1`, `"id":2`, 1)
	f("", 3, later, "", again, record("6"), record("7"), record("8"))
	if got, _ := resumedBy(t, later, "", again, record("6"), record("7"), record("8")); got.notNow != 1 {
		t.Errorf("told to come later %d times", got.notNow)
	}
}

// A run is judged by clients that failed, and by resumes that memory served.
func TestResumesVerdict(t *testing.T) {
	run := func(name string, p99, read float64) *Run {
		return &Run{
			Name: name, Succeeded: 10, Latency: job.Quantiles{P99: p99}, Needed: 1000, Read: read, Asked: 10,
		}
	}
	r := Result{Count: 10, Runs: []*Run{run(runAlone, 10, 3000), run(runBeside, 30, 5000)}}
	r.Runs[1].Budgets = 2000
	met := func() (out string) {
		r.Bars = nil
		r.judge()
		for _, b := range r.Bars {
			out += map[bool]string{true: "+", false: "-"}[b.Met]
		}
		return out
	}
	if got := met(); got != "+++++" || r.verdict() != nil {
		t.Fatalf("%s, %v", got, r.verdict())
	}
	r.Runs[0].Read, r.Runs[1].Read, r.Runs[1].Latency.P99 = 3001, 5001, 30.1
	if got := met(); got != "++---" {
		t.Error(got)
	}
	r.Runs[0].Asked = 9
	var invalid *job.InvalidError
	if err := r.verdict(); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "only 9 of 10") {
		t.Error(err)
	}
	r.Runs[1].Succeeded, r.Runs[1].Failed = 8, map[string]int64{"got a notice: gap": 2}
	var fault *job.FaultError
	if err := r.verdict(); !errors.As(err, &fault) || !strings.Contains(err.Error(), "2 of 10") ||
		!strings.Contains(err.Error(), "got a notice: gap 2") {
		t.Error(err)
	}
	if got := met(); got != "+----" {
		t.Error(got)
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "MISSED") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestResumesBadInput(t *testing.T) {
	f := func(want string, edit func(*Config)) {
		t.Helper()
		cfg := Config{Records: 1000, Least: 10, Most: 20, Target: bench.Target{
			URL: "ws://127.0.0.1:1/ws", Keys: job.Keys{Secret: "secret"}, Brokers: []string{"127.0.0.1:1"}, Topic: "t",
		}}
		edit(&cfg)
		_, err := Measure(t.Context(), cfg)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("give --brokers and --topic", func(c *Config) { c.Target.Brokers = nil })
	f("leave --protocol", func(c *Config) { c.Target.Direct = true })
	f("a user of its own", func(c *Config) { c.Target.Keys = job.Keys{Token: "x"} })
	f("1 to 10000 clients", func(c *Config) { c.Count = 10_001 })
	f("1,000 a second", func(c *Config) { c.Rate = 1001 })
	f("no more than the next", func(c *Config) { c.Most = 9 })
	f("--records 1000: each must be", func(c *Config) { c.Most = 1001 })
	f("at most 1000 and 16", func(c *Config) { c.Stalled = 17 })
	f("can be negative", func(c *Config) { c.GreedyRate = -1 })
	f("at most 8192", func(c *Config) { c.Size = 9000 })
	f("one second", func(c *Config) { c.Until = time.Millisecond })
	f("too small", func(c *Config) { c.Size = 10 })
	f("only a gateway on 127.0.0.1", func(c *Config) { c.Greedy, c.Target.URL = 1, "ws://192.0.2.1/ws" })
}
