package bench

import (
	"strings"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// A run reports when the bench was the bottleneck, and only then.
func TestJudge(t *testing.T) {
	f := func(problem, fault string, edit func(*Run)) {
		t.Helper()
		g := &Run{Name: runGateway, Offered: 1000, Seen: Seen{Delivered: 1000, ClientAsleep: 0.5},
			Latency: job.Quantiles{Count: 10, P99: 40}}
		edit(g)
		g.judge(false)
		p, x := strings.Join(g.Problems, "; "), strings.Join(g.Faults, "; ")
		if !strings.Contains(p, problem) || (problem == "") != (p == "") || !strings.Contains(x, fault) ||
			(fault == "") != (x == "") {
			t.Fatalf("problems %q, faults %q; want %q, %q", p, x, problem, fault)
		}
	}
	f("", "", func(*Run) {})
	f("publisher was late: p99 10.1 ms", "", func(g *Run) { g.PublisherLate.P99 = 10.1 })
	f("", "", func(g *Run) { g.PublisherLag.P99 = 500 }) // the gateway held it up
	f("asleep for only", "", func(g *Run) { g.ClientAsleep, g.Delivered = 0.01, 980 })
	f("", "", func(g *Run) { g.ClientAsleep = 0.01 }) // and still everything was delivered
	f("slow to read", "", func(g *Run) { g.ClientLag.P99 = 30 })
	f("", "", func(g *Run) { g.ClientLag.P99, g.Latency.P99 = 30, 200 })
	f("", "1 messages lost", func(g *Run) { g.Lost = 1 })
	f("", "2 messages out of order", func(g *Run) { g.Late = 2 })
	f("", "3 messages doubled", func(g *Run) { g.Doubled = 3 })
	f("", "1 invalid frames", func(g *Run) { g.Invalid = 1 })
	f("", "1 connections lost", func(g *Run) { g.Gone = 1 })
	f("", "1 breaks", func(g *Run) { g.Breaks = 1 })
	f("", "1 orders lost", func(g *Run) { g.Orders = &OrdersReport{Lost: 1} })
	f("", "1 messages doubled at stalled", func(g *Run) { g.Stalled = &StalledReport{Wrong: Wrong{Doubled: 1}} })
	f("", "", func(g *Run) { g.Stalled = &StalledReport{Lost: 9} }) // retention goes on
	f("", "", func(g *Run) { g.Name, g.Lost = runRawsend, 9 })
}

func TestMedianAndText(t *testing.T) {
	if text.Median(nil) != 0 || text.Median([]float64{3, 1, 2}) != 2 || text.Median([]float64{4, 1, 2, 3}) != 2.5 {
		t.Fatal("median")
	}
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	f(text.Count(0), "0")
	f(text.Count(999), "999")
	f(text.Count(1000), "1,000")
	f(text.Count(-1234567), "-1,234,567")
	f(job.MS(0.25), "250 µs")
	f(job.MS(2.345), "2.35 ms")
	f(job.MS(23.45), "23.4 ms")
	f(job.MS(234.5), "234 ms")
	f(job.MS(23456), "23.5 s")
	f(text.Size(512), "512 B")
	f(text.Size(1536), "1.50 KB")
	f(text.Size(-3<<20), "-3.0 MB")
	f(text.Size(5<<30), "5.00 GB")
	f(text.Signed(10), "+10 B")
	f(text.Number(2.50), "2.5")
	f(job.Quantiles{}.String(), "none taken")
}
