package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tapecast/bench/text"
)

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
