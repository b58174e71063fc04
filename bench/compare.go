package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// Comparison is two results side by side: one measurement of two versions or two settings.
type Comparison struct {
	Files   [2]string
	Results [2]*Result
	Notes   []string // what else differs between the two
	Runs    []ComparedRun
}

// ComparedRun is one kind of run that both results have.
type ComparedRun struct {
	Name    string
	Runs    [2]int
	Figures []Compared
}

// Compared is one figure of both, the medians of their runs.
type Compared struct {
	Name   string
	Values [2]float64
	// Ratio is B to A, of the medians. Least and Most are the extreme ratios of any run of B
	// to any run of A. 0: A has nothing there.
	Ratio, Least, Most float64
	format             func(float64) string
}

// figures are the figures of a run that are compared.
var figures = []struct {
	name   string
	of     func(*Run) float64
	format func(float64) string
}{
	{"delivered/s", func(g *Run) float64 { return g.Delivered },
		func(v float64) string { return text.Count(int64(v)) }},
	{"bytes/s", func(g *Run) float64 { return g.Bytes }, text.Size},
	{"CPU per message", func(g *Run) float64 { return g.CPU },
		func(v float64) string { return fmt.Sprintf("%.3f µs", v) }},
	{"gateway cores", func(g *Run) float64 { return g.Cores },
		func(v float64) string { return fmt.Sprintf("%.3f", v) }},
	{"latency p50", func(g *Run) float64 { return g.Latency.P50 }, job.MS},
	{"latency p90", func(g *Run) float64 { return g.Latency.P90 }, job.MS},
	{"latency p99", func(g *Run) float64 { return g.Latency.P99 }, job.MS},
	{"latency p99.9", func(g *Run) float64 { return g.Latency.P999 }, job.MS},
	{"latency max", func(g *Run) float64 { return g.Latency.Max }, job.MS},
	{"resident memory", func(g *Run) float64 { return g.RSS }, text.Size},
	{"resident per connection", func(g *Run) float64 { return g.RSSPerConnection }, text.Size},
	{"heap growth", func(g *Run) float64 { return g.HeapGrowth }, text.Size},
	{"lost", func(g *Run) float64 { return float64(g.Lost) }, func(v float64) string { return text.Count(int64(v)) }},
}

// Compare compares two result files. Other versions, or two scenarios, are an InputError.
func Compare(a, b string) (*Comparison, error) {
	c := &Comparison{Files: [2]string{a, b}}
	for k, file := range c.Files {
		var err error
		if c.Results[k], err = ReadResult(file); err != nil {
			return nil, err
		}
	}
	x, y := c.Results[0], c.Results[1]
	if x.Scenario != y.Scenario {
		return nil, job.Inputf("%s has the scenario %q, %s has %q: compare two results of one scenario", a, x.Scenario,
			b, y.Scenario)
	}
	for _, name := range x.names() {
		p, q := runsOf(x.Runs, name), runsOf(y.Runs, name)
		if len(p) > 0 && len(q) > 0 {
			c.Runs = append(c.Runs, compareRuns(name, p, q))
		}
	}
	if len(c.Runs) == 0 {
		return nil, job.Inputf("%s and %s have no kind of run in common", a, b)
	}
	c.note("clients", x.Clients, y.Clients)
	c.note("rooms", strings.Join(x.Rooms, " "), strings.Join(y.Rooms, " "))
	c.note("rate", text.Number(x.Rate), text.Number(y.Rate))
	c.note("size", x.Size, y.Size)
	c.note("bare", x.Bare, y.Bare)
	c.note("deflate", x.Deflate, y.Deflate)
	c.note("seconds", text.Number(x.Seconds), text.Number(y.Seconds))
	mx, my := x.Machine, y.Machine
	c.note("cores", mx.Cores, my.Cores)
	c.note("CPU", mx.CPU, my.CPU)
	c.note("kernel", mx.Kernel, my.Kernel)
	c.note("Go", mx.Go, my.Go)
	for k, r := range c.Results {
		var problems, faults int
		for _, g := range r.Runs {
			problems += len(g.Problems)
			faults += len(g.Faults)
		}
		if problems > 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("in %s the bench was the bottleneck: its figures prove little",
				c.Files[k]))
		}
		if faults > 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("in %s what was delivered is wrong", c.Files[k]))
		}
	}
	return c, nil
}

func (c *Comparison) note(what string, a, b any) {
	if a != b {
		c.Notes = append(c.Notes, fmt.Sprintf("not the same %s: %v and %v", what, a, b))
	}
}

func runsOf(runs []*Run, name string) []*Run {
	return slices.DeleteFunc(slices.Clone(runs), func(g *Run) bool { return g.Name != name })
}

func compareRuns(name string, p, q []*Run) ComparedRun {
	out := ComparedRun{Name: name, Runs: [2]int{len(p), len(q)}}
	for _, f := range figures {
		c := Compared{Name: f.name, format: f.format,
			Values: [2]float64{text.MedianOf(p, f.of), text.MedianOf(q, f.of)}}
		c.Least, c.Most = ratios(p, q, f.of)
		if c.Values[0] > 0 && c.Values[1] >= 0 {
			c.Ratio = c.Values[1] / c.Values[0]
		}
		out.Figures = append(out.Figures, c)
	}
	return out
}

// ratios returns the least and the greatest ratio of any q to any p, or 0 and 0 without meaning.
func ratios(p, q []*Run, of func(*Run) float64) (least, most float64) {
	by := func(a, b *Run) int { return cmp.Compare(of(a), of(b)) }
	leastA, mostA := of(slices.MinFunc(p, by)), of(slices.MaxFunc(p, by))
	leastB, mostB := of(slices.MinFunc(q, by)), of(slices.MaxFunc(q, by))
	if leastA <= 0 || leastB < 0 {
		return 0, 0
	}
	return leastB / mostA, mostB / leastA
}

func (c *Compared) ratio() (ratio, spread string) {
	if c.Values[0] <= 0 || c.Values[1] < 0 {
		return "–", ""
	}
	ratio = fmt.Sprintf("%.3f", c.Ratio)
	if c.Least != c.Most {
		spread = fmt.Sprintf("%.3f to %.3f", c.Least, c.Most)
	}
	return ratio, spread
}

// WriteText writes the comparison as tables.
func (c *Comparison) WriteText(w io.Writer) error {
	t := &text.Table{}
	for k, r := range c.Results {
		t.Line("%c: %s · %s · %s", 'A'+k, c.Files[k], r.Start.Format("2006-01-02 15:04"), r.Machine)
	}
	for _, n := range c.Notes {
		t.Line("NOTE %s", n)
	}
	for _, g := range c.Runs {
		t.Line("")
		t.Line("%s · medians of %d and %d runs; B to A, and any run of B to any of A", g.Name, g.Runs[0], g.Runs[1])
		t.Line("  %-24s %14s %14s %10s   %s", "", "A", "B", "ratio", "spread")
		for _, f := range g.Figures {
			ratio, spread := f.ratio()
			t.Line("  %-24s %14s %14s %10s   %s", f.Name, f.format(f.Values[0]), f.format(f.Values[1]), ratio, spread)
		}
	}
	return t.Write(w)
}
