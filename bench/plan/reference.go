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
	"tapecast/bench/machine"
	"tapecast/bench/text"
)

// reference measures points one after another, and a reference load before, between and
// after them. A virtual machine takes a fifth more for the same work in one minute than in
// another. A point must not look expensive because its minute was.
type reference struct {
	cfg   *CalibrateConfig
	end   bench.Endpoint
	loops float64

	points     []Point   // Slowness is in CPU seconds a send until against divides it
	references []float64 // CPU seconds a send, of all measurements
}

// reference returns the reference trial. Its CPU is mostly that of single sends. It leaves
// loops a third of their time or more, and its CPU is counted for each send, not for each
// message. A loop that is always busy would take the same CPU for as many messages,
// however slow the machine is.
func (c *CalibrateConfig) reference() trial { return trial{c.Clients / 2, 1, 10, 128} }

// referenceWindow is long enough for CPU time in steps of 10 ms to be exact within a hundredth.
const referenceWindow = 4 * time.Second

// measure adds the point of a trial. Of several runs it takes the one whose CPU, divided by
// the reference's, is the median. Latencies are medians.
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
	p.P50 = text.MedianOf(runs, func(p Point) float64 { return p.P50 })
	p.P99 = text.MedianOf(runs, func(p Point) float64 { return p.P99 })
	r.points = append(r.points, p)
	return nil
}

// restless returns what is wrong with a reference that kept loops always busy; "": nothing.
func (p *Point) restless(loops float64) string {
	const always = 0.95 // of the time
	busy := p.Busy / (p.Seconds * loops)
	if busy < always {
		return ""
	}
	return fmt.Sprintf("the reference load kept loops busy for %.0f %% of the time, and cannot show how slow the "+
		"machine is then: take fewer --clients", 100*busy)
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

// against returns the points, with the machine's slowness relative to the given reference.
func (r *reference) against(reference float64) []Point {
	for i := range r.points {
		r.points[i].Slowness /= reference
	}
	return r.points
}

// watchKernel returns a function that returns the most that the kernel's objects have grown so far.
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

// kernelObjects returns the bytes of the kernel's live objects, sockets among them. Only
// root may read slabinfo. Without it the result is the size of their caches. Those keep the
// memory of earlier connections, and show too little of new ones.
func kernelObjects() float64 {
	b, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		kb, _ := strconv.ParseFloat(strings.TrimSuffix(machine.ProcField("/proc/meminfo", "Slab"), " kB"), 64)
		return kb * 1024
	}
	var sum float64
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "#" || strings.HasPrefix(f[0], "tw_sock") { // connections that have ended
			continue
		}
		live, err1 := strconv.ParseFloat(f[1], 64)
		each, err2 := strconv.ParseFloat(f[3], 64)
		if err1 == nil && err2 == nil { // the first line has neither
			sum += live * each
		}
	}
	return sum
}
