package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

// attackedRun returns a run with the figures that a verdict uses.
func attackedRun(name string, pings, messages, growth float64, limited ...string) *Run {
	g := &Run{Name: name, Latency: job.Quantiles{P99: messages}, Abuse: &AbuseReport{
		Ping: job.Quantiles{P99: pings}, Newcomers: job.Quantiles{P99: 10}, RSSGrowth: growth,
		Limited: map[string]float64{},
	}}
	for _, l := range limited {
		g.Abuse.Limited[l] = 1
	}
	return g
}

// Each bar is met at its edge, and missed beyond it. The medians count.
func TestAbuseVerdict(t *testing.T) {
	f := func(what string, missed string, runs ...*Run) {
		t.Helper()
		var got []string
		for _, b := range judgeAbuse(runs).Bars {
			if !b.Met {
				got = append(got, b.What)
			}
		}
		if s := strings.Join(got, "; "); s != missed {
			t.Errorf("%s: missed %q, want %q", what, s, missed)
		}
	}
	attacked := func(pings, messages, growth float64) *Run {
		return attackedRun(runGateway, pings, messages, growth, "control_frames")
	}
	beside := func(pings, messages float64) *Run { return attackedRun(runSink, pings, messages, 1e9) }
	f("all well", "", attacked(50, 50, 16<<20))
	f("pings", "others' pings, p99", attacked(50.1, 50, 0))
	f("messages", "others' messages, p99", attacked(50, 50.1, 0))
	f("memory", "resident memory", attacked(50, 50, 16<<20+1))
	f("three times the pair", "", attacked(89, 119, 0), beside(30, 40))
	f("more than that", "others' pings, p99; others' messages, p99", attacked(91, 121, 0), beside(30, 40))
	f("a fast pair", "", attacked(49, 49, 0), beside(1, 1))
	f("medians", "", attacked(1000, 1000, 1<<30), attacked(1, 1, 1), attacked(40, 40, 2))
	f("not counted", "a limit was counted", attacked(1, 1, 1), attackedRun(runGateway, 1, 1, 1))
	slow := attacked(1, 1, 1)
	slow.Abuse.Newcomers.P99 = 51
	f("newcomers", "newcomers' first message, p99", slow)
	mute := attacked(1, 1, 1)
	mute.Abuse.Unanswered = 1
	f("unanswered", "unanswered pings", mute)
	if v := judgeAbuse([]*Run{{Name: runGateway}}); v != nil {
		t.Errorf("a fanout is judged as an abuse: %+v", v)
	}
}

// Under attack a loss is reported even if the bench was late.
func TestAbuseFaultFirst(t *testing.T) {
	g := attackedRun(runGateway, 1, 1, 1)
	g.Faults, g.Problems = []string{"1 messages lost"}, []string{"the publisher was late"}
	res := FanoutResult{Runs: []*Run{g}, Medians: map[string]Medians{}}
	res.summarize()
	var fault *job.FaultError
	if err := res.verdict(); !errors.As(err, &fault) {
		t.Errorf("%v", err)
	}
	g.Faults = nil
	var late *job.InvalidError
	if err := res.verdict(); !errors.As(err, &late) {
		t.Errorf("%v", err)
	}
}

// A counter's growth is that of each of its series.
func TestGrownBy(t *testing.T) {
	from := scrape.Metrics{`tapecast_limited_total{limit="a"}`: 3, `tapecast_limited_total{limit="b"}`: 1}
	to := scrape.Metrics{
		`tapecast_limited_total{limit="a"}`: 5, `tapecast_limited_total{limit="b"}`: 1,
		`tapecast_limited_total{limit="c"}`: 7, `tapecast_other_total{limit="d"}`: 1,
	}
	if got := fmt.Sprint(grownBy(from, to, "tapecast_limited_total", "limit")); got != "map[a:2 c:7]" {
		t.Error(got)
	}
	if got := text.Counts(map[string]float64{"a": 2, "c": 7, "b": 2}); got != "c 7, a 2, b 2" {
		t.Error(got)
	}
}

// The gateway's worst status is kept, with its text at that time.
func TestWatchHealth(t *testing.T) {
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			fmt.Fprint(w, `{"status":"healthy"}`)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":"unhealthy","reasons":["loop 0 stands"]}`)
		default:
			fmt.Fprint(w, `{"status":"degraded"}`)
		}
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if asked.Load() == 2 {
			http.Error(w, `{"status":"loop 0 stands"}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"status":"alive"}`)
	})
	s := httptest.NewServer(mux)
	h := &HealthSeen{Health: map[string]int{}, Livez: map[string]int{}}
	for range 3 {
		h.look(t.Context(), s.Client(), s.URL)
	}
	const why = "loop 0 stands"
	if h.Looks != 3 || h.Worst != "unhealthy" || !strings.Contains(h.Detail, why) ||
		h.Livez["alive"] != 2 || !strings.Contains(h.Dead, why) {
		t.Fatalf("%+v", h)
	}
	s.Close()
	h.look(t.Context(), s.Client(), s.URL)
	if h.Worst != client.NoAnswer || h.Livez[client.NoAnswer] != 1 || h.Detail != "connection refused" {
		t.Fatalf("%+v", h)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a run that is called off is not the gateway's fault
	if h := watchHealth(ctx, scrape.Port{URL: s.URL}, machine.MonotonicIn(time.Minute)); h.Looks != 0 {
		t.Fatalf("%+v", h)
	}
}
