package plan

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tapecast/bench"
	"tapecast/bench/text"
)

// reference measures points one after another, and a reference load before, between and
// after them: a virtual machine takes a fifth more for the same work in one minute
// than in another, and a point must not be taken for dear because its minute was.
type reference struct {
	cfg   *CalibrateConfig
	end   bench.Endpoint
	loops float64

	points     []Point   // Slowness is of no calibration yet, but CPU seconds a send
	references []float64 // CPU seconds a send, of all times that it was asked
}

// reference is a load whose CPU is mostly that of single sends. It leaves loops a third of
// their time or more, and CPU goes by sends, not by messages: a loop that is always busy
// takes the same for as many messages, however slow the machine.
func (c *CalibrateConfig) reference() trial { return trial{c.Clients / 2, 1, 10, 128} }

// referenceWindow is enough for CPU time in steps of 10 ms to err by less than a hundredth.
const referenceWindow = 4 * time.Second

// measure adds the point of a trial: of several runs the one with the median of CPU by
// that of the reference, with the medians of latency.
func (r *reference) measure(ctx context.Context, t trial) error {
	if len(r.references) == 0 {
		if err := r.refer(ctx); err != nil {
			return err
		}
	}
	var runs []Point
	for range r.cfg.Repeats {
		p, err := r.cfg.measure(ctx, r.end, t, r.cfg.Window)
		if err != nil {
			return err
		}
		before := r.references[len(r.references)-1]
		if err := r.refer(ctx); err != nil {
			return err
		}
		p.Load.Loops, p.Slowness = r.loops, (before+r.references[len(r.references)-1])/2
		runs = append(runs, *p)
	}
	slices.SortFunc(runs, func(a, b Point) int { return cmp.Compare(a.Cores/a.Slowness, b.Cores/b.Slowness) })
	p := runs[(len(runs)-1)/2]
	p.P50, p.P99 = medianOf(runs, func(p *Point) float64 { return p.P50 }),
		medianOf(runs, func(p *Point) float64 { return p.P99 })
	r.points = append(r.points, p)
	return nil
}

// restless says what is wrong with a reference that kept loops always busy; empty: nothing.
func (p *Point) restless(loops float64) string {
	const always = 0.95 // of the time
	busy := p.Busy / (p.Seconds * loops)
	if busy < always {
		return ""
	}
	return fmt.Sprintf("the reference load kept loops busy for %.0f %% of the time, and cannot tell how slow the "+
		"machine is then: take fewer --clients", 100*busy)
}

func medianOf(runs []Point, of func(*Point) float64) float64 {
	var all []float64
	for i := range runs {
		all = append(all, of(&runs[i]))
	}
	return text.Median(all)
}

func (r *reference) refer(ctx context.Context) error {
	p, err := r.cfg.measure(ctx, r.end, r.cfg.reference(), min(r.cfg.Window, referenceWindow))
	if err != nil {
		return err
	}
	if doubt := p.restless(r.loops); doubt != "" {
		text.LogLine(r.cfg.Log, "%s", doubt)
	}
	r.references = append(r.references, p.Cores*p.Seconds/p.Sends)
	return nil
}

// against returns the points with how slow the machine was at each, by the reference given.
func (r *reference) against(reference float64) []Point {
	for i := range r.points {
		r.points[i].Slowness /= reference
	}
	return r.points
}

// watchKernel says, when it is asked, by how much the kernel's objects have grown at most.
func watchKernel(ctx context.Context) func() float64 {
	ctx, cancel := context.WithCancel(ctx)
	before, most := kernelObjects(), make(chan float64)
	go func() {
		var m float64
		for {
			m = max(m, kernelObjects())
			select {
			case <-ctx.Done():
				most <- m
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() float64 {
		cancel()
		return <-most - before
	}
}

// kernelObjects is what the kernel's live objects take, sockets among them, in bytes.
// Where slabinfo may not be read (it is root's), it is what their caches take: those
// keep what earlier connections have left, and show too little of new ones.
func kernelObjects() float64 {
	b, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return slab()
	}
	var sum float64
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "#" || strings.HasPrefix(f[0], "tw_sock") { // connections that are gone
			continue
		}
		live, err1 := strconv.ParseFloat(f[1], 64)
		each, err2 := strconv.ParseFloat(f[3], 64)
		if err1 == nil && err2 == nil { // neither is in the first line
			sum += live * each
		}
	}
	return sum
}

// slab is what the caches of the kernel's objects take, in bytes.
func slab() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Slab:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64) // the kernel writes numbers
			return kb * 1024
		}
	}
	return 0
}
