package bench

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

func (g *gate) abuse() FanoutConfig {
	cfg := g.fanout()
	cfg.Scenario = "abuse"
	cfg.start = (*exec.Cmd).Start // at the lowest priority they would not run at all on a busy machine
	cfg.Abuse = &AbuseConfig{Kind: "pings", Hostile: 2, Addresses: 2, PingEvery: 100 * time.Millisecond, Newcomers: 20}
	return cfg
}

// The whole path, paired: ordinary clients, newcomers, hostile clients at the sink and at the
// gateway, the gateway's counters and its health.
func TestAbuse(t *testing.T) {
	g := newGate(t, "secret")
	cfg := g.abuse()
	cfg.Abuse.Paired = true
	res, err := measured(t, cfg)
	if len(res.Runs) != 2 || res.Runs[0].Name != runSink || res.Runs[1].Name != runGateway {
		t.Fatalf("%v: %d runs", err, len(res.Runs))
	}
	for k, run := range res.Runs {
		x := run.Abuse
		if run.Want != 20*120 || run.Unique != run.Want || len(run.Faults) != 0 {
			t.Fatalf("%d of %d, %v", run.Unique, run.Want, run.Faults)
		}
		// Each client sends ten a second for 1.2 s. One second of that is timed.
		if x.Pings != 20*12 || x.Ping.Count != 20*10 || x.Unanswered+x.Refused != 0 || x.Ping.Max <= 0 {
			t.Errorf("%s: pings %+v", run.Name, x)
		}
		if x.Newcomers.Count != 20 || len(x.NewcomersFailed) != 0 {
			t.Errorf("%s: newcomers %v, %v", run.Name, x.Newcomers, x.NewcomersFailed)
		}
		if x.Fared.Opened < 2 || x.Fared.Frames < 1000 || x.Fared.Bytes < 6*1000 || x.Bytes < 6*1000 {
			t.Errorf("%s: fared %+v", run.Name, x.Fared)
		}
		if x.RSSBefore <= 0 || x.RSSMost < x.RSSBefore || x.RSSGrowth != x.RSSMost-x.RSSBefore {
			t.Errorf("%s: memory %v, %v", run.Name, x.RSSBefore, x.RSSMost)
		}
		// The hostile clients' frames reached the gateway in its own run only.
		if counted := x.Limited["control_frames"] > 0; counted != (k == 1) || x.At != run.Name {
			t.Errorf("%s: limits %v", run.Name, x.Limited)
		}
		if h := x.Health; h.Looks < 1 || h.Worst != "degraded" || h.Health["degraded"] != h.Looks ||
			h.Livez["alive"] != h.Looks || h.Dead != "" {
			t.Errorf("%s: health %+v", run.Name, h)
		}
	}
	if v := res.Abuse; v == nil || len(v.Medians) != 2 || len(v.Bars) != 6 || !v.Bars[5].Met || !v.Bars[4].Met {
		t.Fatalf("%+v", res.Abuse)
	}
	var b strings.Builder
	if err := res.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pings: 2 at the sink", "pings: 2 at the gateway", "degraded", "counted: in 1 of 1 runs",
		"that beside the sink",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := res.WriteHTML(&b, Header{}); err != nil || !strings.Contains(b.String(), "Under attack") {
		t.Fatal(err)
	}
}

// An ordinary client that is closed, and one without an answer, are found.
func TestAbuseFaults(t *testing.T) {
	g := newGate(t, "secret")
	g.edit = func(c *gateConn, n int64, b []byte) [][]byte {
		if c.user == job.UserName(3) && n == 60 {
			return [][]byte{proto.AppendServerFrame(nil, proto.OpClose, []byte{1008 >> 8, 1008 & 255, 'x'})}
		}
		return [][]byte{b}
	}
	cfg := g.abuse()
	cfg.Abuse.Kind = "silent"
	res, err := measured(t, cfg)
	var fault *job.FaultError // even if the bench was late
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "connections lost") {
		t.Fatalf("%v", err)
	}
	run := res.Runs[0]
	if run.Gone != 1 || run.Closes["1008 x"] != 1 || run.Lost == 0 {
		t.Fatalf("gone %d, %v, lost %d", run.Gone, run.Closes, run.Lost)
	}
	if b := res.Abuse.Bars[5]; b.What != "a limit was counted" || b.Met {
		t.Fatalf("%+v", b)
	}
}

func TestAbuseBadInput(t *testing.T) {
	f := func(want string, edit func(*FanoutConfig)) {
		t.Helper()
		g := newGate(t, "secret")
		cfg := g.abuse()
		edit(&cfg)
		_, err := Fanout(t.Context(), cfg)
		var input *job.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	f("not one of pings, pings-125", func(c *FanoutConfig) { c.Abuse.Kind = "kindness" })
	f("needs a token", func(c *FanoutConfig) { c.Abuse.Kind, c.Abuse.Anonymous = "resume", true })
	f("wss://", func(c *FanoutConfig) { c.Abuse.Kind = "hello" })
	f("to 100 addresses", func(c *FanoutConfig) { c.Abuse.Addresses = 101 })
	f("one or more", func(c *FanoutConfig) { c.Abuse.Hostile = -1 })
	f("--hostile 1000000000", func(c *FanoutConfig) { c.Abuse.Hostile = 1e9 })
	f("at least 10ms", func(c *FanoutConfig) { c.Abuse.PingEvery = 1 })
	f("another scenario", func(c *FanoutConfig) { c.Baseline = true })
	f("internal port", func(c *FanoutConfig) { c.Target.Admin = "pid:1" })
	// Only this machine may be attacked.
	for addr, ok := range map[string]bool{
		"127.0.0.1:80": true, "10.0.0.1:80": false, "192.0.2.1:443": false, "[::1]:80": false, "here": false,
	} {
		if err := CheckAddress(Endpoint{Endpoint: job.Endpoint{Addr: addr}}); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
