package main

import (
	"fmt"
	"os"
	"strings"
	"time"
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
