package worker

import (
	"math"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// window is the measured part of a run. Its figures are the differences between the
// loop's counters at its start and at its end.
type window struct {
	edge     int64 // when the next figures are due, monotonic
	to       int64
	open     bool
	from, at mark
}

// mark holds a loop's counters at one moment.
type mark struct {
	at, frames, bytes, reads, asleep int64
	cpu                              float64
}

// never is an edge that does not come.
const never = math.MaxInt64

func newWindow(from, to int64) window { return window{edge: from, to: to} }

// cross takes the figures at an edge.
func (w *window) cross(l *loop, now int64) {
	m := mark{now, l.reader.frames, l.reader.bytes, l.reads, l.asleep, machine.CpuTime()}
	if !w.open {
		w.open, w.from, w.edge = true, m, w.to
		return
	}
	w.at, w.edge = m, never
}

// report fills in the window's figures.
func (w *window) report(t *job.Tally) {
	t.WindowFrames = w.at.frames - w.from.frames
	t.WindowBytes = w.at.bytes - w.from.bytes
	t.Reads = w.at.reads - w.from.reads
	t.CPU = w.at.cpu - w.from.cpu
	t.Asleep = float64(w.at.asleep-w.from.asleep) / 1e9
}
