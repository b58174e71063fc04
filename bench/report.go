package bench

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/text"
	"tapecast/server/web/chart"
)

// ResultVersion is the version of result files. It may get more fields, but none changes its meaning.
const ResultVersion = 1

// Header is the start of a result file.
type Header struct {
	Version int       `json:"version"`
	Command []string  `json:"command"` // without secrets
	Start   time.Time `json:"start"`
	Machine Machine   `json:"machine"`
}

// Machine is the bench's machine. It is the gateway's only if that is on loopback.
type Machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu"`
	Kernel   string `json:"kernel"`
	Memory   int64  `json:"memory"` // bytes
	Go       string `json:"go"`
	Commit   string `json:"commit,omitempty"`   // of the bench. "": built outside a repository
	Modified bool   `json:"modified,omitempty"` // the sources differ from that commit
}

// NewHeader describes a run of command that began at start, on this machine.
func NewHeader(command []string, start time.Time) Header {
	return Header{Version: ResultVersion, Command: command, Start: start.UTC().Truncate(time.Millisecond),
		Machine: thisMachine()}
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU: cmp.Or(machine.ProcField("/proc/cpuinfo", "model name"), runtime.GOARCH)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.Memory = int64(s.Totalram) * int64(s.Unit)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				m.Commit = s.Value
			case "vcs.modified":
				m.Modified = s.Value == "true"
			}
		}
	}
	return m
}

// String returns the machine in one line.
func (m Machine) String() string {
	s := fmt.Sprintf("%d cores of %s · %s of memory · %s · %s", m.Cores, m.CPU, text.Size(float64(m.Memory)), m.Kernel,
		m.Go)
	if m.Commit != "" {
		s += " · commit " + m.Commit[:min(12, len(m.Commit))]
		if m.Modified {
			s += " with changes"
		}
	}
	return s
}

// WriteJSON writes a result with its header before its own fields. A result with a version
// of its own, like a calibration, gets no header.
func WriteJSON(w io.Writer, h Header, result any) error {
	a, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	b, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if len(b) < 3 || b[0] != '{' {
		panic(fmt.Sprintf("BUG: a result must be an object with fields, not %.20q", b))
	}
	var own struct{ Version int }
	if err := json.Unmarshal(b, &own); err != nil || own.Version == 0 {
		a[len(a)-1] = ','
		b = append(a, b[1:]...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// Result is a fanout's result file.
type Result struct {
	Header
	FanoutResult
}

// ReadResult reads a FanoutResult that WriteJSON wrote. Any other file is an InputError.
func ReadResult(file string) (*Result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, job.Inputf("cannot read %s: %v", file, job.ReasonOf(err))
	}
	r := &Result{}
	err = json.Unmarshal(b, &r.Header)
	switch {
	case err != nil:
		return nil, job.Inputf("%s is not a result file (%v): write one with --out", file, err)
	case r.Version != ResultVersion:
		return nil, job.Inputf("%s has version %d of result files, this tapecast-bench reads %d: measure it again",
			file, r.Version, ResultVersion)
	}
	if err := json.Unmarshal(b, &r.FanoutResult); err != nil {
		return nil, job.Inputf("%s has no result that can be compared (%v)", file, err)
	}
	if len(r.Runs) == 0 {
		return nil, job.Inputf("%s has no runs: only results of fanouts can be compared", file)
	}
	for k, g := range r.Runs {
		if g == nil {
			return nil, job.Inputf("%s: run %d is null", file, k+1)
		}
	}
	return r, nil
}

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
