package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/proto"
	"tapecast/bench/scrape"
	"tapecast/bench/text"
)

func (f *FanoutResult) summarize() {
	for _, name := range f.names() {
		f.Medians[name] = mediansOf(runsOf(f.Runs, name))
	}
	if raw, ok := f.Medians[runRawsend]; ok && raw.CPU > 0 {
		f.Ratio = f.Medians[runGateway].CPU / raw.CPU
	}
	f.Abuse = judgeAbuse(f.Runs)
	if without, ok := f.Medians[runUnstalled]; ok && without.P99 > 0 {
		f.Paired = f.Medians[runGateway].P99 / without.P99
	}
}

func (f *FanoutResult) names() []string {
	var names []string
	for _, g := range f.Runs {
		if !slices.Contains(names, g.Name) {
			names = append(names, g.Name)
		}
	}
	return names
}

func (f *FanoutResult) verdict() error {
	var faults, problems []string
	for _, g := range f.Runs {
		faults = append(faults, g.Faults...)
		problems = append(problems, g.Problems...)
	}
	switch {
	// Under attack the bench is late sooner, but a loss still is a loss.
	case len(problems) > 0 && (f.Abuse == nil || len(faults) == 0):
		return job.Invalidf("the bench was the bottleneck: %s", joinFew(problems))
	case len(faults) > 0:
		return job.Faultf("what was delivered is wrong: %s", joinFew(faults))
	}
	return nil
}

// joinFew joins the first few different texts, and adds how many more there are.
func joinFew(s []string) string {
	const few = 3
	var out []string
	for _, x := range s {
		if len(out) == few {
			return strings.Join(out, "; ") + fmt.Sprintf("; and %d more", len(s)-few)
		}
		out = append(out, x)
	}
	return strings.Join(out, "; ")
}

// WriteText writes the result as a table.
func (f *FanoutResult) WriteText(w io.Writer) error {
	t := &text.Table{}
	shape := "with envelope"
	if f.Bare {
		shape = "bare"
	}
	if f.Deflate {
		shape += ", permessage-deflate offered"
	}
	of := ""
	if f.Group > 0 {
		of = ", " + text.Count(int64(f.Group)) + " a room"
	}
	t.Line("%s · %s clients in %s%s · %s msg/s of %d B, %s · %s s", f.Scenario, text.Count(int64(f.Clients)),
		strings.Join(f.Rooms, " "), of, text.Number(f.Rate), f.Size, shape, text.Number(f.Seconds))
	if r := f.Recording; r != nil {
		pace := "at a constant rate"
		if r.Pace > 0 {
			pace = "at " + text.Number(r.Pace) + " times its pace"
		}
		again := ""
		if r.Looped {
			again = ", repeated"
		}
		t.Line("recording %s · %s records of %s keys %s in %s s%s · at most %s due in one second", r.File,
			text.Count(int64(r.Records)), text.Count(int64(r.Keys)), pace, text.Number(r.Round), again,
			text.Count(int64(r.Busiest)))
	}
	for k, g := range f.Runs {
		t.Line("")
		t.Line("run %d, %s", k+1, g.Name)
		g.table(t)
	}
	if len(f.Runs) > len(f.Medians) || len(f.Medians) > 1 {
		t.Line("")
		t.Line("medians")
		for _, name := range f.names() {
			if m, ok := f.Medians[name]; ok {
				t.Row(name, "%s/s · CPU %.3f µs · p50 %s p90 %s p99 %s p99.9 %s max %s (%d)",
					text.Count(int64(m.Delivered)), m.CPU, job.MS(m.P50), job.MS(m.P90), job.MS(m.P99), job.MS(m.P999),
					job.MS(m.Max), m.Runs)
			}
		}
	}
	if f.Ratio > 0 {
		t.Row("CPU ratio", "%.3f times rawsend's", f.Ratio)
	}
	if f.Paired > 0 {
		t.Row("p99 ratio", "%.3f times the p99 without stalled clients", f.Paired)
	}
	if f.Abuse != nil {
		t.Line("")
		t.Line("under attack")
		t.Rows(f.Abuse.rows())
	}
	return t.Write(w)
}

func (g *Run) table(t *text.Table) {
	t.Row("delivered", "%s/s of %s/s due (%.2f %%), %s", text.Count(int64(g.Delivered)), text.Count(int64(g.Offered)),
		text.Percent(g.Delivered, g.Offered), text.Size(g.Bytes)+"/s")
	t.Row("messages", "%s of %s · lost %s · out of order %s · doubled %s · invalid %s", text.Count(g.Unique),
		text.Count(g.Want), text.Count(g.Lost), text.Count(g.Late), text.Count(g.Doubled), text.Count(g.Invalid))
	t.Row("latency", "%s", g.Latency)
	if g.ClockError > 0 {
		t.Row("clocks", "of the agents' machines agree to ±%s", job.MS(g.ClockError))
	}
	t.Row("gateway", "CPU %.3f µs per message · %.2f cores · %s resident per connection · %s resident at the end",
		g.CPU, g.Cores, text.Size(g.RSSPerConnection), text.Size(g.RSS))
	t.Row("", "heap in use %s, tapes %s over the window", text.Signed(g.HeapGrowth), text.Signed(g.TapeGrowth))
	t.Row("bench", "clients %.2f cores, asleep %.0f %%, lag p99 %s · publisher %.2f cores, lag p99 %s max %s",
		g.ClientCores, 100*g.ClientAsleep, job.MS(g.ClientLag.P99), g.PublisherCores, job.MS(g.PublisherLag.P99),
		job.MS(g.PublisherLag.Max))
	if n := g.Notices["gap"] + g.Notices["reset"] + g.Notices["error"]; n > 0 {
		t.Row("notices", "gap %d · reset %d · error %d", g.Notices["gap"], g.Notices["reset"], g.Notices["error"])
	}
	g.incidents(t)
	g.others(t)
	g.wrongRows(t)
}

func wrongRows(t *text.Table, indent string, faults, problems []string) {
	for _, x := range faults {
		t.Row(indent+"FAULT", "%s", x)
	}
	for _, x := range problems {
		t.Row(indent+"INVALID", "%s", x)
	}
}

// incidents writes what happened to the clients meanwhile.
func (g *Run) incidents(t *text.Table) {
	if x := g.Slow; x != nil {
		t.Row("slow", "%d at %s/s each · %d gone · %s messages, lost %s · gap notices %d · closes %v", x.Clients,
			text.Size(float64(x.Rate)), x.Gone, text.Count(x.Frames), text.Count(x.Lost), x.Notices["gap"], x.Closes)
	}
	if x := g.Churn; x != nil {
		t.Row("churn", "%s clients left %s times and came back %s times · %s times still away at their turn",
			text.Count(int64(x.Clients)), text.Count(x.Left), text.Count(x.Returned), text.Count(x.Skipped))
		t.Row("  leave", "%s", x.Leave)
		t.Row("  return", "%s", x.Return)
	}
	if g.Soak != nil {
		g.Soak.table(t)
	}
	if g.Abuse != nil {
		t.Rows(g.Abuse.rows())
	}
	if x := g.Storm; x != nil {
		t.Row("storm", "%s clients lost their connections · all that came back, %s, had their rooms after %s",
			text.Count(int64(x.Clients)), text.Count(int64(x.Back)), job.MS(1000*x.Seconds))
		t.Row("  handshake", "%s", x.Handshake)
		t.Row("  gateway", "CPU %.0f µs per client, messages included · %s further attempts", x.CPUPerClient,
			text.Count(x.Retries))
		t.Row("  bench", "dialled late by p99 %s", job.MS(x.Late.P99))
		for why, n := range x.Refused {
			t.Row("  refused", "%d: %s", n, why)
		}
	}
}

// others writes further feeds and clients, and the baseline.
func (g *Run) others(t *text.Table) {
	if g.Absent > 0 {
		t.Row("away", "%s messages were published while their clients were away", text.Count(g.Absent))
	}
	for _, f := range g.Feeds {
		t.Row(f.Name, "%s of %s · lost %s · out of order %s · doubled %s", text.Count(f.Unique), text.Count(f.Want),
			text.Count(f.Lost), text.Count(f.Late), text.Count(f.Doubled))
		t.Row("", "%s", f.Latency)
	}
	if o := g.Orders; o != nil {
		t.Row("orders", "%s · lost %d · out of order %d · doubled %d", text.Count(o.Want), o.Lost, o.Late, o.Doubled)
		t.Row("  to the client", "%s", o.Latency)
		t.Row("  to its socket", "%s", o.Arrival)
		t.Row("  publisher", "lag p99 %s max %s", job.MS(o.Lag.P99), job.MS(o.Lag.Max))
	}
	if f := g.Filtered; f != nil {
		t.Row("filtered", "%s clients got %s messages", text.Count(int64(f.Clients)), text.Count(f.Frames))
	}
	if s := g.Stalled; s != nil {
		t.Row("stalled",
			"%d for %s s · %d gone · found %s received (at most %s each) · "+
				"gateway's kernel held %s (at most %s each)",
			s.Clients, text.Number(s.Seconds), s.Gone, text.Size(float64(s.Received)), text.Size(float64(s.MostRecv)),
			text.Size(float64(s.Unsent)), text.Size(float64(s.MostUnsent)))
		t.Row("  afterwards", "lost %s · gap notices %d · closes %v", text.Count(s.Lost), s.Notices["gap"], s.Closes)
	}
	if r := g.Raw; r != nil {
		t.Row("rawsend", "%s of %s messages sent · %s sends refused, %s short", text.Count(r.Messages),
			text.Count(r.Scheduled), text.Count(r.Dropped), text.Count(r.Short))
	}
}

// Medians are the medians of several runs' figures.
type Medians struct {
	Runs        int     `json:"runs"`
	Delivered   float64 `json:"delivered_per_s"`
	Bytes       float64 `json:"bytes_per_s"`
	CPU         float64 `json:"gateway_cpu_us_per_message"`
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	P999        float64 `json:"p999_ms"`
	Max         float64 `json:"max_ms"`
	OrdersP99   float64 `json:"orders_p99_ms,omitempty"`
	OrdersArriv float64 `json:"orders_arrival_p99_ms,omitempty"`
}

func mediansOf(runs []*Run) Medians {
	of := func(f func(*Run) float64) float64 { return text.MedianOf(runs, f) }
	m := Medians{
		Runs:      len(runs),
		Delivered: of(func(g *Run) float64 { return g.Delivered }),
		Bytes:     of(func(g *Run) float64 { return g.Bytes }),
		CPU:       of(func(g *Run) float64 { return g.CPU }),
		P50:       of(func(g *Run) float64 { return g.Latency.P50 }),
		P90:       of(func(g *Run) float64 { return g.Latency.P90 }),
		P99:       of(func(g *Run) float64 { return g.Latency.P99 }),
		P999:      of(func(g *Run) float64 { return g.Latency.P999 }),
		Max:       of(func(g *Run) float64 { return g.Latency.Max }),
	}
	if len(runs) > 0 && runs[0].Orders != nil {
		m.OrdersP99 = of(func(g *Run) float64 { return g.Orders.Latency.P99 })
		m.OrdersArriv = of(func(g *Run) float64 { return g.Orders.Arrival.P99 })
	}
	return m
}

// refusedMetrics are the gateway's counters of records that reach no member, in words.
var refusedMetrics = map[string]string{
	"tapecast_ingest_bad_total":       "bad",
	"tapecast_ingest_unmatched_total": "no route's match fits",
	"tapecast_rooms_refused_total":    "its room may not be made",
}

// refusedRecords returns how many records a gateway refused between two readings, by reason.
func refusedRecords(from, to scrape.Metrics) map[string]float64 {
	out := map[string]float64{}
	for series, v := range to {
		name, labels, _ := strings.Cut(series, "{")
		why, ok := refusedMetrics[name]
		if !ok || v <= from[series] {
			continue
		}
		if reason, ok := proto.Member([]byte(","+labels), `,reason="`); ok {
			why = string(reason)
		}
		out[why] += v - from[series]
	}
	return out
}

// becauseOf returns a clause for lost messages if records were refused: the cause is not delivery.
func becauseOf(refused map[string]float64) string {
	var n float64
	for _, v := range refused {
		n += v
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", because the gateway refused %s records (%s): its log says which; do the values match the "+
		"topic's routes? See --fields and --value-template", text.Count(int64(n)), text.Counts(refused))
}
