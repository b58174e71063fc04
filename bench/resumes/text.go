package resumes

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"tapecast/bench"
	"tapecast/bench/hostile"
	"tapecast/bench/job"
	"tapecast/bench/text"
)

// Medians are the medians of several runs.
type Medians struct {
	Runs int     `json:"runs"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Read float64 `json:"read_bytes"`
}

// The demands on a gateway whose clients resume.
const (
	mostResumesTimes = 3 // the p99 beside greedy clients, relative to the p99 without
	mostResumesRead  = 3 // the bytes read, relative to those needed; the greedy clients' budgets come on top
)

func (r *Result) judge() {
	r.Medians = map[string]Medians{}
	for _, name := range []string{runAlone, runBeside} {
		runs := slices.DeleteFunc(slices.Clone(r.Runs), func(g *Run) bool { return g.Name != name })
		if len(runs) == 0 {
			continue
		}
		of := func(f func(*Run) float64) float64 { return text.MedianOf(runs, f) }
		r.Medians[name] = Medians{
			Runs: len(runs),
			P50:  of(func(g *Run) float64 { return g.Latency.P50 }),
			P99:  of(func(g *Run) float64 { return g.Latency.P99 }),
			Max:  of(func(g *Run) float64 { return g.Latency.Max }),
			Read: of(func(g *Run) float64 { return g.Read }),
		}
		least := slices.MinFunc(runs, func(a, b *Run) int { return cmp.Compare(a.Succeeded, b.Succeeded) }).Succeeded
		r.Bars = append(r.Bars, bench.AbuseBar{
			What: "resumes that succeeded, " + name, Got: text.Count(least), Bar: text.Count(int64(r.Count)),
			Met: least >= int64(r.Count),
		})
	}
	if alone, beside := r.Medians[runAlone], r.Medians[runBeside]; beside.Runs > 0 {
		most := mostResumesTimes * alone.P99
		r.Bars = append(r.Bars, bench.AbuseBar{
			What: "their p99 beside greedy ones", Bar: "at most " + job.MS(most), Met: beside.P99 <= most,
			Got: fmt.Sprintf("%s, %.2f times that alone", job.MS(beside.P99), beside.P99/alone.P99),
		})
	}
	for _, name := range []string{runAlone, runBeside} {
		r.judgeRead(name)
	}
}

// judgeRead judges the bytes that were read again, in the worst run.
func (r *Result) judgeRead(name string) {
	var worst *Run
	for _, g := range r.Runs {
		if g.Name == name && (worst == nil || g.Read/g.mayRead() > worst.Read/worst.mayRead()) {
			worst = g
		}
	}
	if worst == nil {
		return
	}
	bar := fmt.Sprintf("at most %s, %d times what they need", text.Size(worst.mayRead()), mostResumesRead)
	if worst.Budgets > 0 {
		bar += " and the greedy ones' budgets"
	}
	r.Bars = append(r.Bars, bench.AbuseBar{
		What: "bytes read again, " + name, Got: text.Size(worst.Read), Bar: bar, Met: worst.Read <= worst.mayRead(),
	})
}

func (g *Run) mayRead() float64 { return max(1, mostResumesRead*float64(g.Needed)+g.Budgets) }

// WriteText writes the result as a table.
func (r *Result) WriteText(w io.Writer) error {
	t := &text.Table{}
	t.Line("resumes · %s clients, %s a second, that lack %s to %s of %s records · %s · %d greedy, %d stalled",
		text.Count(int64(r.Count)), text.Number(r.Rate), text.Count(r.Least), text.Count(r.Most), text.Count(r.Records),
		r.Room,
		r.Greedy, r.Stalled)
	for k, g := range r.Runs {
		t.Line("")
		t.Line("run %d, %s", k+1, g.Name)
		g.table(t)
	}
	t.Line("")
	t.Line("medians")
	for _, name := range []string{runAlone, runBeside} {
		if m := r.Medians[name]; m.Runs > 0 {
			t.Row(name, "p50 %s p99 %s max %s · %s read again (%d)",
				job.MS(m.P50), job.MS(m.P99), job.MS(m.Max), text.Size(m.Read), m.Runs)
		}
	}
	for _, b := range r.Bars {
		t.Row(map[bool]string{true: "met", false: "MISSED"}[b.Met], "%s: %s (%s)", b.What, b.Got, b.Bar)
	}
	return t.Write(w)
}

func (g *Run) table(t *text.Table) {
	t.Row("resumes", "%s succeeded · failed: %s · told to ask again later %s times",
		text.Count(g.Succeeded), text.Counts(g.Failed), text.Count(g.NotNow))
	t.Row("latency", "%s", g.Latency)
	t.Row("needed", "%s records, %s", text.Count(g.Records), text.Size(float64(g.Needed)))
	t.Row("read again", "%s · %s resumes asked for it, %s were refused · parts taken back: %s",
		text.Size(g.Read), text.Count(int64(g.Asked)), text.Count(int64(g.Refused)), text.Count(int64(g.TakenBack)))
	t.Row("gateway", "%.2f cores over %s s · %s resident before, %s at most",
		g.Cores, text.Number(g.Seconds), text.Size(g.RSSBefore), text.Size(g.RSSMost))
	for _, x := range []struct {
		name  string
		fared *hostile.Tally
	}{{"greedy", g.Greedy}, {"stalled", g.Stalled}} {
		if x.fared == nil {
			continue
		}
		t.Row(x.name, "%s opened · %s answers, errors among them: %s · %s read · closed: %s",
			text.Count(x.fared.Opened), text.Count(x.fared.Answers), text.Counts(x.fared.Errors),
			text.Size(float64(x.fared.Read)), text.Counts(x.fared.Closes))
	}
}
