package bench

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/text"
	"tapecast/server/web/chart"
)

//go:embed report.html
var pageSource string

var pageTemplate = template.Must(template.New("report").Parse(pageSource))

// page is what the template shows. It loads nothing from elsewhere.
type page struct {
	Title  string
	Lines  []string
	Notes  []string
	Parts  []part
	Script template.JS
	Style  template.CSS
}

type part struct {
	Title  string
	Head   []string
	Rows   [][]string
	Charts []*chart.Chart
}

// chartsOf draws runs into the same charts. Each run has a label; "": none.
func chartsOf(runs []*Run, labels []string) []*chart.Chart {
	const seconds = "seconds of the window"
	latency := &chart.Chart{Title: "Latency over time", X: seconds, Unit: "ms", Log: true}
	percentiles := &chart.Chart{Title: "Latency by percentile", X: "percentile", Nines: true, Unit: "ms", Log: true}
	delivered := &chart.Chart{Title: "Delivered messages a second", X: seconds}
	bytes := &chart.Chart{Title: "Delivered bytes a second", X: seconds, Unit: "B"}
	cpu := &chart.Chart{Title: "Cores in use", X: seconds}
	memory := &chart.Chart{Title: "The gateway's memory", X: seconds, Unit: "B"}
	clients := &chart.Chart{Title: "Connected clients", X: seconds}
	for k, g := range runs {
		name := func(what string) string { return strings.TrimSpace(labels[k] + " " + what) }
		var curve []chart.Point
		for _, p := range g.Curve {
			curve = append(curve, chart.Point{chart.Nines(p.Percent, g.Latency.Count), p.MS})
		}
		percentiles.Add(name("latency"), curve)
		if g.Timeline == nil {
			continue
		}
		at := func(timed bool, of func(*ClientPoint) float64) (line []chart.Point) {
			for i := range g.Timeline.Clients {
				if p := &g.Timeline.Clients[i]; !timed || p.Timed > 0 {
					line = append(line, chart.Point{p.At, of(p)})
				}
			}
			return line
		}
		look := func(of func(*GatewayPoint) float64) (line []chart.Point) {
			for i := range g.Timeline.Gateway {
				p := &g.Timeline.Gateway[i]
				line = append(line, chart.Point{p.At, of(p)})
			}
			return line
		}
		latency.Add(name("p50"), at(true, func(p *ClientPoint) float64 { return p.P50 }))
		latency.Add(name("p99"), at(true, func(p *ClientPoint) float64 { return p.P99 }))
		latency.Add(name("max"), at(true, func(p *ClientPoint) float64 { return p.Max }))
		delivered.Add(name("delivered/s"), at(false, func(p *ClientPoint) float64 { return p.Delivered }))
		bytes.Add(name("bytes/s"), at(false, func(p *ClientPoint) float64 { return p.Bytes }))
		cpu.Add(name("gateway"), look(func(p *GatewayPoint) float64 { return p.Cores }))
		memory.Add(name("resident"), look(func(p *GatewayPoint) float64 { return p.RSS }))
		memory.Add(name("heap in use"), look(func(p *GatewayPoint) float64 { return p.Heap }))
		clients.Add(name("connected"), at(false, func(p *ClientPoint) float64 { return float64(p.Connected) }))
	}
	out := []*chart.Chart{latency, percentiles, delivered, bytes, cpu, memory, clients}
	return slices.DeleteFunc(out, func(c *chart.Chart) bool { return len(c.Lines) == 0 })
}

// WriteHTML writes the result as one page with charts. The page loads nothing else.
func (f *FanoutResult) WriteHTML(w io.Writer, h Header) error {
	p := page{
		Title: fmt.Sprintf("%s · %s clients · %s msg/s of %d B", f.Scenario, text.Count(int64(f.Clients)),
			text.Number(f.Rate), f.Size),
		Lines: []string{strings.Join(h.Command, " "), h.Start.Format("2006-01-02 15:04:05 MST"), h.Machine.String()},
	}
	for k, g := range f.Runs {
		part := part{Title: fmt.Sprintf("Run %d, %s", k+1, g.Name), Charts: chartsOf([]*Run{g}, []string{""})}
		for _, x := range figures {
			part.Rows = append(part.Rows, []string{x.name, x.format(x.of(g))})
		}
		part.Rows = append(part.Rows,
			[]string{"messages", fmt.Sprintf("%s of %s", text.Count(g.Unique), text.Count(g.Want))},
			[]string{"bench", fmt.Sprintf("publisher lag p99 %s · client lag p99 %s · clients asleep %.0f %%",
				job.MS(g.PublisherLag.P99), job.MS(g.ClientLag.P99), 100*g.ClientAsleep)})
		if g.Abuse != nil {
			part.Rows = append(part.Rows, g.Abuse.rows()...)
		}
		for _, x := range g.Faults {
			p.Notes = append(p.Notes, fmt.Sprintf("run %d: %s", k+1, x))
		}
		for _, x := range g.Problems {
			p.Notes = append(p.Notes, fmt.Sprintf("run %d is invalid: %s", k+1, x))
		}
		p.Parts = append(p.Parts, part)
	}
	if f.Abuse != nil {
		p.Parts = append([]part{{Title: "Under attack", Rows: f.Abuse.rows()}}, p.Parts...)
	}
	return p.write(w)
}

// WriteHTML writes the comparison as one page, with charts of the run with the median p99 of each.
func (c *Comparison) WriteHTML(w io.Writer) error {
	p := page{Title: fmt.Sprintf("%s: A and B", c.Results[0].Scenario), Notes: c.Notes}
	for k, r := range c.Results {
		p.Lines = append(p.Lines, fmt.Sprintf("%c: %s · %s · %s", 'A'+k, strings.Join(r.Command, " "),
			r.Start.Format("2006-01-02 15:04:05 MST"), r.Machine))
	}
	for _, g := range c.Runs {
		part := part{Title: fmt.Sprintf("%s, %d and %d runs", g.Name, g.Runs[0], g.Runs[1]),
			Head: []string{"", "A", "B", "ratio", "spread"}}
		for _, f := range g.Figures {
			ratio, spread := f.ratio()
			part.Rows = append(part.Rows, []string{f.Name, f.format(f.Values[0]), f.format(f.Values[1]), ratio, spread})
		}
		part.Charts = chartsOf([]*Run{middle(runsOf(c.Results[0].Runs, g.Name)),
			middle(runsOf(c.Results[1].Runs, g.Name))}, []string{"A", "B"})
		p.Parts = append(p.Parts, part)
	}
	return p.write(w)
}

// middle returns the run whose p99 is the median, or the one below it.
func middle(runs []*Run) *Run {
	runs = slices.Clone(runs)
	slices.SortFunc(runs, func(a, b *Run) int { return cmp.Compare(a.Latency.P99, b.Latency.P99) })
	return runs[(len(runs)-1)/2]
}

func (p *page) write(w io.Writer) error {
	p.Script, p.Style = chart.Script(), chart.Style()
	return pageTemplate.Execute(w, p)
}
