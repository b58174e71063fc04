package bench

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

//go:embed report.html
var pageSource string

// uPlot 1.6.32, MIT (uplot/LICENSE): the charts, inside the page.
var (
	//go:embed uplot/uPlot.iife.min.js
	uplotJS string
	//go:embed uplot/uPlot.min.css
	uplotCSS string
	//go:embed uplot/LICENSE
	uplotLicense string
)

var pageTemplate = template.Must(template.New("report").Parse(pageSource))

// page is what the template shows. It asks for nothing from elsewhere.
type page struct {
	Title   string
	Lines   []string
	Notes   []string
	Parts   []part
	JS      template.JS
	CSS     template.CSS
	License string
}

// part is a heading, its table and its charts.
type part struct {
	Title  string
	Head   []string
	Rows   [][]string
	Charts []*chart
}

// chart is lines over a shared axis; the script of the page draws it.
type chart struct {
	Title  string   `json:"title"`
	X      string   `json:"x"`    // the axis' words
	Kind   string   `json:"kind"` // time: seconds. percent: percentiles, the farther out the wider
	Unit   string   `json:"unit"` // of the values: ms, B, or none
	Log    bool     `json:"log"`
	Labels []string `json:"labels"`
	// Data is the places on the axis, ascending, and for each line its values there.
	Data [][]*float64 `json:"data"`

	lines [][]xy
}

type xy struct{ x, y float64 }

// Add adds a line; without points there is none.
func (c *chart) add(label string, line []xy) {
	if len(line) > 0 {
		c.Labels = append(c.Labels, label)
		c.lines = append(c.lines, line)
	}
}

// align puts all lines over one axis.
func (c *chart) align() {
	var xs []float64
	for _, l := range c.lines {
		for _, p := range l {
			xs = append(xs, p.x)
		}
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	c.Data = make([][]*float64, 1+len(c.lines))
	for k := range xs {
		c.Data[0] = append(c.Data[0], &xs[k])
	}
	for i, l := range c.lines {
		ys := make([]*float64, len(xs))
		for k := range l {
			// What a logarithmic axis has no place for is left out.
			if at, ok := slices.BinarySearch(xs, l[k].x); ok && (!c.Log || l[k].y > 0) {
				ys[at] = &l[k].y
			}
		}
		c.Data[1+i] = ys
	}
}

// chartsOf draws legs into the same charts, each named by its label ("": none).
func chartsOf(legs []*Leg, labels []string) []*chart {
	const seconds = "seconds of the window"
	latency := &chart{Title: "Latency over time", X: seconds, Kind: "time", Unit: "ms", Log: true}
	percentiles := &chart{Title: "Latency by percentile", X: "percentile", Kind: "percent", Unit: "ms", Log: true}
	delivered := &chart{Title: "Delivered messages a second", X: seconds, Kind: "time"}
	bytes := &chart{Title: "Delivered bytes a second", X: seconds, Kind: "time", Unit: "B"}
	cpu := &chart{Title: "Cores in use", X: seconds, Kind: "time"}
	memory := &chart{Title: "The gateway's memory", X: seconds, Kind: "time", Unit: "B"}
	clients := &chart{Title: "Connected clients", X: seconds, Kind: "time"}
	for k, g := range legs {
		name := func(what string) string { return strings.TrimSpace(labels[k] + " " + what) }
		var curve []xy
		for _, p := range g.Curve {
			curve = append(curve, xy{nines(p.Percent, g.Latency.Count), p.MS})
		}
		percentiles.add(name("latency"), curve)
		if g.Timeline == nil {
			continue
		}
		at := func(timed bool, of func(*ClientPoint) float64) (line []xy) {
			for i := range g.Timeline.Clients {
				if p := &g.Timeline.Clients[i]; !timed || p.Timed > 0 {
					line = append(line, xy{p.At, of(p)})
				}
			}
			return line
		}
		look := func(of func(*GatewayPoint) float64) (line []xy) {
			for i := range g.Timeline.Gateway {
				p := &g.Timeline.Gateway[i]
				line = append(line, xy{p.At, of(p)})
			}
			return line
		}
		latency.add(name("p50"), at(true, func(p *ClientPoint) float64 { return p.P50 }))
		latency.add(name("p99"), at(true, func(p *ClientPoint) float64 { return p.P99 }))
		latency.add(name("max"), at(true, func(p *ClientPoint) float64 { return p.Max }))
		delivered.add(name("delivered/s"), at(false, func(p *ClientPoint) float64 { return p.Delivered }))
		bytes.add(name("bytes/s"), at(false, func(p *ClientPoint) float64 { return p.Bytes }))
		cpu.add(name("gateway"), look(func(p *GatewayPoint) float64 { return p.Cores }))
		memory.add(name("resident"), look(func(p *GatewayPoint) float64 { return p.RSS }))
		memory.add(name("heap in use"), look(func(p *GatewayPoint) float64 { return p.Heap }))
		clients.add(name("connected"), at(false, func(p *ClientPoint) float64 { return float64(p.Connected) }))
	}
	out := []*chart{latency, percentiles, delivered, bytes, cpu, memory, clients}
	out = slices.DeleteFunc(out, func(c *chart) bool { return len(c.lines) == 0 })
	for _, c := range out {
		c.align()
	}
	return out
}

// nines is the place of a percentile on its axis: 0 for 0, 1 for 90, 2 for 99. The
// longest of n durations stands where the n'th of them would.
func nines(percent float64, n int64) float64 {
	if percent >= 100 {
		return math.Log10(float64(max(n, 1)))
	}
	return -math.Log10(1 - percent/100)
}

// WriteHTML writes the result as one page with charts that needs nothing else.
func (f *FanoutResult) WriteHTML(w io.Writer, h Header) error {
	p := page{
		Title: fmt.Sprintf("%s · %s clients · %s msg/s of %d B", f.Scenario, text.Count(int64(f.Clients)), text.Number(f.Rate), f.Size),
		Lines: []string{strings.Join(h.Command, " "), h.Start.Format("2006-01-02 15:04:05 MST"), h.Machine.String()},
	}
	for k, g := range f.Legs {
		part := part{Title: fmt.Sprintf("Run %d, %s", k+1, g.Name), Charts: chartsOf([]*Leg{g}, []string{""})}
		for _, x := range figures {
			part.Rows = append(part.Rows, []string{x.name, x.format(x.of(g))})
		}
		part.Rows = append(part.Rows,
			[]string{"messages", fmt.Sprintf("%s of %s", text.Count(g.Unique), text.Count(g.Want))},
			[]string{"bench", fmt.Sprintf("publisher lag p99 %s · client lag p99 %s · clients asleep %.0f %%", job.Ms(g.PublisherLag.P99), job.Ms(g.ClientLag.P99), 100*g.ClientAsleep)})
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

// WriteHTML writes the comparison as such a page. Its charts show one run of each:
// the one whose p99 is the median.
func (c *Comparison) WriteHTML(w io.Writer) error {
	p := page{Title: fmt.Sprintf("%s: A and B", c.Results[0].Scenario), Notes: c.Notes}
	for k, r := range c.Results {
		p.Lines = append(p.Lines, fmt.Sprintf("%c: %s · %s · %s", 'A'+k, strings.Join(r.Command, " "), r.Start.Format("2006-01-02 15:04:05 MST"), r.Machine))
	}
	for _, g := range c.Legs {
		part := part{Title: fmt.Sprintf("%s, %d and %d runs", g.Name, g.Runs[0], g.Runs[1]), Head: []string{"", "A", "B", "ratio", "spread"}}
		for _, f := range g.Figures {
			ratio, spread := f.ratio()
			part.Rows = append(part.Rows, []string{f.Name, f.format(f.Values[0]), f.format(f.Values[1]), ratio, spread})
		}
		part.Charts = chartsOf([]*Leg{middle(legsOf(c.Results[0].Legs, g.Name)), middle(legsOf(c.Results[1].Legs, g.Name))}, []string{"A", "B"})
		p.Parts = append(p.Parts, part)
	}
	return p.write(w)
}

// middle is the leg whose p99 is the median, or the one below.
func middle(legs []*Leg) *Leg {
	legs = slices.Clone(legs)
	slices.SortFunc(legs, func(a, b *Leg) int { return cmp.Compare(a.Latency.P99, b.Latency.P99) })
	return legs[(len(legs)-1)/2]
}

func (p *page) write(w io.Writer) error {
	p.JS, p.CSS, p.License = template.JS(uplotJS), template.CSS(uplotCSS), uplotLicense
	return pageTemplate.Execute(w, p)
}
