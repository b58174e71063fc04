package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tapecast/bench/text"
)

// The marks around the table in the file of results.
const (
	markBegin = "<!-- peers: begin, written by make bench-peers -->"
	markEnd   = "<!-- peers: end -->"
)

func write(cfg runConfig, all []*contender) error {
	text := render(cfg, all)
	if cfg.Into == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	old, err := os.ReadFile(cfg.Into)
	if err != nil {
		return fmt.Errorf("cannot read --into: %w", err)
	}
	now, err := replaceBetween(string(old), text)
	if err != nil {
		return fmt.Errorf("cannot write into %s: %w", cfg.Into, err)
	}
	return os.WriteFile(cfg.Into, []byte(now), 0o644)
}

func replaceBetween(doc, text string) (string, error) {
	head, rest, ok := strings.Cut(doc, markBegin)
	_, tail, both := strings.Cut(rest, markEnd)
	if !ok || !both {
		return "", fmt.Errorf("the marks are missing: add a line %q and a line %q", markBegin, markEnd)
	}
	return head + markBegin + "\n" + text + markEnd + tail, nil
}

// render returns the table in Markdown: a column for each rate, and the limit.
func render(cfg runConfig, all []*contender) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d clients of one room, %d B, windows of %s after %s; CPU µs of the server per delivered "+
		"message, and p99 from due to read.\n\n",
		time.Now().UTC().Format("2006-01-02"), cfg.Clients, cfg.Size, cfg.Duration, cfg.Warmup)
	b.WriteString("| server |")
	for _, r := range cfg.Rates {
		fmt.Fprintf(&b, " %.4g msg/s |", r)
	}
	b.WriteString(" limit, msg/s to all | delivered/s there | p99 at 50 % | p99 at 80 % | resident |\n|---|")
	b.WriteString(strings.Repeat("---|", len(cfg.Rates)+5) + "\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| %s |", c.name)
		var resident float64
		for k := range cfg.Rates {
			if k >= len(c.runs) {
				b.WriteString(" |")
				continue
			}
			m := c.runs[k]
			resident = max(resident, m.run.RSS)
			b.WriteString(" " + cell(m) + " |")
		}
		limit := fmt.Sprintf("%.4g", c.limit)
		if !c.behind { // no rate was too high for it
			limit = "≥ " + limit
		}
		fmt.Fprintf(&b, " %s | %.2f M | %s | %s | %.0f MB |\n", limit, c.limit*float64(cfg.Clients)/1e6,
			latencyOf(c.half), latencyOf(c.most), resident/(1<<20))
	}
	b.WriteString(renderTurns(all))
	return b.String()
}

// cell returns the result of one run. A mark shows that the clients may have been the limit.
func cell(m measured) string {
	text := fmt.Sprintf("%.2f µs, %s", m.run.CPU, ms(m.run.Latency.P99))
	if m.why != "" {
		text += ", **behind**: " + m.why
	}
	if len(m.run.Problems) > 0 {
		text += " †"
	}
	return text
}

func latencyOf(m measured) string {
	if m.run == nil {
		return "–"
	}
	text := ms(m.run.Latency.P99)
	if m.why != "" {
		text += " (" + m.why + ")"
	}
	return text
}

func ms(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.1f s", v/1000)
	}
	return fmt.Sprintf("%.3g ms", v)
}

// turns measures all again, so many times in turns, at the highest rate that all kept up
// with. A server is compared with another within one turn, so good and bad minutes of the
// machine do not change the ratio.
func turns(ctx context.Context, cfg runConfig, all []*contender, left func() bool) error {
	rate := common(all)
	if rate == 0 {
		return nil
	}
	for range cfg.Turns {
		if !left() {
			return nil
		}
		for _, c := range all {
			m, err := c.measure(ctx, cfg, rate)
			if err != nil {
				return err
			}
			c.turns = append(c.turns, m)
		}
	}
	return nil
}

// common returns the highest rate that all kept up with; 0: there is none.
func common(all []*contender) float64 {
	var rate float64
	for k := 0; ; k++ {
		for _, c := range all {
			if k >= len(c.runs) || c.runs[k].why != "" {
				return rate
			}
		}
		rate = all[0].runs[k].rate
	}
}

// renderTurns returns a table of the turns, with each server beside the first.
func renderTurns(all []*contender) string {
	first := all[0]
	if len(first.turns) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe same at %.4g msg/s, %d turns: medians, and the ratios within a turn (median, least to "+
		"most).\n\n", first.turns[0].rate, len(first.turns))
	fmt.Fprintf(&b, "| server | CPU a message | beside %s | p99 | beside %s |\n|---|---|---|---|---|\n",
		first.name, first.name)
	cpu := func(m measured) float64 { return m.run.CPU }
	p99 := func(m measured) float64 { return m.run.Latency.P99 }
	for _, c := range all {
		fmt.Fprintf(&b, "| %s | %.2f µs | %s | %s | %s |\n", c.name, spreadOf(c.turns, cpu)[1], beside(c, first, cpu),
			ms(spreadOf(c.turns, p99)[1]), beside(c, first, p99))
	}
	return b.String()
}

// beside returns the ratio of c to other, turn by turn.
func beside(c, other *contender, figure func(measured) float64) string {
	if c == other {
		return "1"
	}
	var ratios []float64
	for i, m := range c.turns {
		ratios = append(ratios, figure(m)/figure(other.turns[i]))
	}
	s := spread(ratios)
	return fmt.Sprintf("%.2f times (%.2f to %.2f)", s[1], s[0], s[2])
}

func spreadOf(turns []measured, figure func(measured) float64) [3]float64 {
	var v []float64
	for _, m := range turns {
		v = append(v, figure(m))
	}
	return spread(v)
}

func spread(v []float64) [3]float64 {
	return [3]float64{slices.Min(v), text.Median(v), slices.Max(v)} // the least, the median and the most
}
