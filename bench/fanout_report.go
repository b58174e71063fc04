package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// summarize takes the medians.
func (f *FanoutResult) summarize() {
	for _, name := range f.names() {
		var legs []*Leg
		for _, g := range f.Legs {
			if g.Name == name {
				legs = append(legs, g)
			}
		}
		f.Medians[name] = mediansOf(legs)
	}
	if raw, ok := f.Medians[legRawsend]; ok && raw.CPU > 0 {
		f.Ratio = f.Medians[legGateway].CPU / raw.CPU
	}
	f.Abuse = judgeAbuse(f.Legs)
	if without, ok := f.Medians[legUnstalled]; ok && without.P99 > 0 {
		f.Paired = f.Medians[legGateway].P99 / without.P99
	}
}

// names are those of the legs, each once.
func (f *FanoutResult) names() []string {
	var names []string
	for _, g := range f.Legs {
		if !slices.Contains(names, g.Name) {
			names = append(names, g.Name)
		}
	}
	return names
}

// verdict is the error that the runs amount to.
func (f *FanoutResult) verdict() error {
	var faults, problems []string
	for _, g := range f.Legs {
		faults = append(faults, g.Faults...)
		problems = append(problems, g.Problems...)
	}
	switch {
	// Under attack the bench is late sooner, and a loss is one all the same.
	case len(problems) > 0 && (f.Abuse == nil || len(faults) == 0):
		return &InvalidError{"the bench was the bottleneck: " + joinFew(problems)}
	case len(faults) > 0:
		return &FaultError{"what was delivered is wrong: " + joinFew(faults)}
	}
	return nil
}

// joinFew joins what differs, and says how much more there is.
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
	t := &table{}
	shape := "with envelope"
	if f.Bare {
		shape = "bare"
	}
	if f.Deflate {
		shape += ", permessage-deflate offered"
	}
	of := ""
	if f.Group > 0 {
		of = ", " + count(int64(f.Group)) + " a room"
	}
	t.line("%s · %s clients in %s%s · %s msg/s of %d B, %s · %s s", f.Scenario, count(int64(f.Clients)), strings.Join(f.Rooms, " "), of, number(f.Rate), f.Size, shape, number(f.Seconds))
	if r := f.Recording; r != nil {
		pace := "at a constant rate"
		if r.Pace > 0 {
			pace = "at " + number(r.Pace) + " times its pace"
		}
		again := ""
		if r.Looped {
			again = ", over and over"
		}
		t.line("recording %s · %s records of %s keys %s in %s s%s · at most %s due in one second", r.File, count(int64(r.Records)), count(int64(r.Keys)), pace, number(r.Round), again, count(int64(r.Busiest)))
	}
	for k, g := range f.Legs {
		t.line("")
		t.line("run %d, %s", k+1, g.Name)
		g.table(t)
	}
	if len(f.Legs) > len(f.Medians) || len(f.Medians) > 1 {
		t.line("")
		t.line("medians")
		for _, name := range f.names() {
			if m, ok := f.Medians[name]; ok {
				t.row(name, "%s/s · CPU %.3f µs · p50 %s p90 %s p99 %s p99.9 %s max %s (%d)", count(int64(m.Delivered)), m.CPU, ms(m.P50), ms(m.P90), ms(m.P99), ms(m.P999), ms(m.Max), m.Runs)
			}
		}
	}
	if f.Ratio > 0 {
		t.row("CPU ratio", "%.3f times rawsend's", f.Ratio)
	}
	if f.Paired > 0 {
		t.row("p99 ratio", "%.3f times the p99 without stalled clients", f.Paired)
	}
	if f.Abuse != nil {
		t.line("")
		t.line("under attack")
		t.rows(f.Abuse.rows())
	}
	return t.write(w)
}

func (g *Leg) table(t *table) {
	t.row("delivered", "%s/s of %s/s due (%.2f %%), %s", count(int64(g.Delivered)), count(int64(g.Offered)), percent(g.Delivered, g.Offered), size(g.Bytes)+"/s")
	t.row("messages", "%s of %s · lost %s · out of order %s · doubled %s · invalid %s", count(g.Unique), count(g.Want), count(g.Lost), count(g.Late), count(g.Doubled), count(g.Invalid))
	t.row("latency", "%s", g.Latency)
	if g.ClockError > 0 {
		t.row("clocks", "of the agents' machines are known to ±%s", ms(g.ClockError))
	}
	t.row("gateway", "CPU %.3f µs per message · %.2f cores · %s resident per connection · %s resident at the end", g.CPU, g.Cores, size(g.RSSPerConnection), size(g.RSS))
	t.row("", "heap in use %s, tapes %s over the window", signed(g.HeapGrowth), signed(g.TapeGrowth))
	t.row("bench", "clients %.2f cores, asleep %.0f %%, lag p99 %s · publisher %.2f cores, lag p99 %s max %s", g.ClientCores, 100*g.ClientAsleep, ms(g.ClientLag.P99), g.PublisherCores, ms(g.PublisherLag.P99), ms(g.PublisherLag.Max))
	if n := g.Notices["gap"] + g.Notices["reset"] + g.Notices["error"]; n > 0 {
		t.row("notices", "gap %d · reset %d · error %d", g.Notices["gap"], g.Notices["reset"], g.Notices["error"])
	}
	if x := g.Slow; x != nil {
		t.row("slow", "%d at %s/s each · %d gone · %s messages, lost %s · gap notices %d · closes %v", x.Clients, size(float64(x.Rate)), x.Gone, count(x.Frames), count(x.Lost), x.Notices["gap"], x.Closes)
	}
	if x := g.Churn; x != nil {
		t.row("churn", "%s clients left %s times and came back %s times · %s times not in when their turn came", count(int64(x.Clients)), count(x.Left), count(x.Returned), count(x.Skipped))
		t.row("  leave", "%s", x.Leave)
		t.row("  return", "%s", x.Return)
	}
	if g.Soak != nil {
		g.Soak.table(t)
	}
	if g.Abuse != nil {
		t.rows(g.Abuse.rows())
	}
	if x := g.Storm; x != nil {
		t.row("storm", "%s clients lost their connections · all that came back, %s, had their rooms after %s", count(int64(x.Clients)), count(int64(x.Back)), ms(1000*x.Seconds))
		t.row("  handshake", "%s", x.Handshake)
		t.row("  gateway", "CPU %.0f µs per client, messages included · %s further attempts", x.CPUPerClient, count(x.Retries))
		t.row("  bench", "dialled late by p99 %s", ms(x.Late.P99))
		for why, n := range x.Refused {
			t.row("  refused", "%d: %s", n, why)
		}
	}
	if g.Absent > 0 {
		t.row("away", "%s messages were published while their clients were away", count(g.Absent))
	}
	for _, f := range g.Feeds {
		t.row(f.Name, "%s of %s · lost %s · out of order %s · doubled %s", count(f.Unique), count(f.Want), count(f.Lost), count(f.Late), count(f.Doubled))
		t.row("", "%s", f.Latency)
	}
	if o := g.Orders; o != nil {
		t.row("orders", "%s · lost %d · out of order %d · doubled %d", count(o.Want), o.Lost, o.Late, o.Doubled)
		t.row("  to the client", "%s", o.Latency)
		t.row("  to its socket", "%s", o.Arrival)
		t.row("  publisher", "lag p99 %s max %s", ms(o.Lag.P99), ms(o.Lag.Max))
	}
	if f := g.Filtered; f != nil {
		t.row("filtered", "%s clients got %s messages", count(int64(f.Clients)), count(f.Frames))
	}
	if s := g.Stalled; s != nil {
		t.row("stalled", "%d for %s s · %d gone · found %s received (at most %s each) · gateway's kernel held %s (at most %s each)", s.Clients, number(s.Seconds), s.Gone, size(float64(s.Received)), size(float64(s.MostRecv)), size(float64(s.Unsent)), size(float64(s.MostUnsent)))
		t.row("  afterwards", "lost %s · gap notices %d · closes %v", count(s.Lost), s.Notices["gap"], s.Closes)
	}
	if r := g.Raw; r != nil {
		t.row("rawsend", "%s of %s messages sent · %s sends refused, %s short", count(r.Messages), count(r.Scheduled), count(r.Dropped), count(r.Short))
	}
	for _, x := range g.Faults {
		t.row("FAULT", "%s", x)
	}
	for _, x := range g.Problems {
		t.row("INVALID", "%s", x)
	}
	for why, n := range g.Closes {
		t.row("closed", "%d: %s", n, why)
	}
}
