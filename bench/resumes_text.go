package bench

import (
	"fmt"
	"io"
)

// ResumesMedians are the middle figures of several legs.
type ResumesMedians struct {
	Runs int     `json:"runs"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
	Read float64 `json:"read_bytes"`
}

// What is asked of a gateway whose clients resume.
const (
	mostResumesTimes = 3 // the p99 beside greedy ones, of that without,
	mostResumesRead  = 3 // and the bytes read, of those needed; the greedy ones' budgets come on top
)

// judge takes the medians and holds them against the bars.
func (r *ResumesResult) judge() {
	r.Medians = map[string]ResumesMedians{}
	for _, name := range []string{legAlone, legBeside} {
		var p50, p99, most, read []float64
		for _, g := range r.Legs {
			if g.Name == name {
				p50, p99 = append(p50, g.Latency.P50), append(p99, g.Latency.P99)
				most, read = append(most, g.Latency.Max), append(read, g.Read)
			}
		}
		if len(p50) > 0 {
			r.Medians[name] = ResumesMedians{
				Runs: len(p50), P50: median(p50), P99: median(p99), Max: median(most), Read: median(read),
			}
		}
	}
	for _, name := range []string{legAlone, legBeside} {
		least, wants := int64(r.Count), AbuseBar{What: "resumes that succeeded, " + name, Bar: count(int64(r.Count))}
		for _, g := range r.Legs {
			if g.Name == name {
				least = min(least, g.Succeeded)
			}
		}
		if r.Medians[name].Runs > 0 {
			wants.Got, wants.Met = count(least), least == int64(r.Count)
			r.Bars = append(r.Bars, wants)
		}
	}
	if alone, beside := r.Medians[legAlone], r.Medians[legBeside]; beside.Runs > 0 {
		most := mostResumesTimes * alone.P99
		r.Bars = append(r.Bars, AbuseBar{
			What: "their p99 beside greedy ones", Bar: "at most " + ms(most), Met: beside.P99 <= most,
			Got: fmt.Sprintf("%s, %.2f times that alone", ms(beside.P99), beside.P99/alone.P99),
		})
	}
	for _, name := range []string{legAlone, legBeside} {
		r.judgeRead(name)
	}
}

// judgeRead is about the bytes that were read again: the leg that is worst.
func (r *ResumesResult) judgeRead(name string) {
	var worst *ResumesLeg
	for _, g := range r.Legs {
		if g.Name == name && (worst == nil || g.Read/g.mayRead() > worst.Read/worst.mayRead()) {
			worst = g
		}
	}
	if worst == nil {
		return
	}
	bar := fmt.Sprintf("at most %s, %d times what they need", size(worst.mayRead()), mostResumesRead)
	if worst.Budgets > 0 {
		bar += " and the greedy ones' budgets"
	}
	r.Bars = append(r.Bars, AbuseBar{
		What: "bytes read again, " + name, Got: size(worst.Read), Bar: bar, Met: worst.Read <= worst.mayRead(),
	})
}

// mayRead is how many bytes a gateway may read again.
func (g *ResumesLeg) mayRead() float64 { return max(1, mostResumesRead*float64(g.Needed)+g.Budgets) }

// WriteText writes the result as a table.
func (r *ResumesResult) WriteText(w io.Writer) error {
	t := &table{}
	t.line("resumes · %s clients, %s a second, that lack %s to %s of %s records · %s · %d greedy ones, %d that stall",
		count(int64(r.Count)), number(r.Rate), count(r.Least), count(r.Most), count(r.Records), r.Room,
		r.Greedy, r.Stalled)
	for k, g := range r.Legs {
		t.line("")
		t.line("run %d, %s", k+1, g.Name)
		g.table(t)
	}
	t.line("")
	t.line("medians")
	for _, name := range []string{legAlone, legBeside} {
		if m := r.Medians[name]; m.Runs > 0 {
			t.row(name, "p50 %s p99 %s max %s · %s read again (%d)",
				ms(m.P50), ms(m.P99), ms(m.Max), size(m.Read), m.Runs)
		}
	}
	for _, b := range r.Bars {
		t.row(map[bool]string{true: "met", false: "MISSED"}[b.Met], "%s: %s (%s)", b.What, b.Got, b.Bar)
	}
	return t.write(w)
}

func (g *ResumesLeg) table(t *table) {
	t.row("resumes", "%s succeeded · failed: %s · told to ask again later %s times",
		count(g.Succeeded), counts(g.Failed), count(g.NotNow))
	t.row("latency", "%s", g.Latency)
	t.row("needed", "%s records, %s", count(g.Records), size(float64(g.Needed)))
	t.row("read again", "%s · %s resumes asked for it, %s were refused · parts taken back: %s",
		size(g.Read), count(int64(g.Asked)), count(int64(g.Refused)), count(int64(g.TakenBack)))
	t.row("gateway", "%.2f cores over %s s · %s resident before, %s at most",
		g.Cores, number(g.Seconds), size(g.RSSBefore), size(g.RSSMost))
	for _, x := range []struct {
		name  string
		fared *HostileTally
	}{{"greedy", g.Greedy}, {"stalled", g.Stalled}} {
		if x.fared == nil {
			continue
		}
		t.row(x.name, "%s opened · %s answers, of them errors: %s · %s read · closed: %s", count(x.fared.Opened),
			count(x.fared.Answers), counts(x.fared.Errors), size(float64(x.fared.Read)), counts(x.fared.Closes))
	}
}
