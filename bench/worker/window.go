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

// cross takes the figures at an edge.
func (w *window) cross(l *loop, now int64) {
	m := mark{now, l.reader.frames, l.reader.bytes, l.reads, l.asleep, machine.CpuTime()}
	if !w.open {
		w.open, w.from, w.edge = true, m, w.to
		return
	}
	w.at, w.edge = m, never
}

func (w *window) report(t *job.Tally) {
	t.WindowFrames = w.at.frames - w.from.frames
	t.WindowBytes = w.at.bytes - w.from.bytes
	t.Reads = w.at.reads - w.from.reads
	t.CPU = w.at.cpu - w.from.cpu
	t.Asleep = float64(w.at.asleep-w.from.asleep) / 1e9
}

// interval ends one interval and starts the next. It reads counters that exist anyway and
// moves one histogram, so a data frame costs no more than without it. BenchmarkInterval
// shows its own cost.
func (l *loop) interval() *job.Interval {
	r := l.reader
	now := mark{at: l.clock.Now(), frames: r.frames, bytes: r.bytes, asleep: l.asleep}
	was := l.marked
	l.marked = now
	return &job.Interval{
		From: was.at, To: now.at, Frames: now.frames - was.frames, Bytes: now.bytes - was.bytes,
		Asleep:  now.asleep - was.asleep,
		Latency: r.earlier.take(r.latency), Lag: l.lags.take(l.lag),
	}
}

// pieces hands over a histogram's counts piece by piece, and keeps their sum.
type pieces struct{ taken, piece *job.Hist }

// take empties h and returns what it held. The result is valid until the next take.
func (p *pieces) take(h *job.Hist) *job.Hist {
	if p.taken == nil {
		p.taken, p.piece = job.NewHist(), job.NewHist()
	}
	p.piece.Reset()
	p.piece.Merge(h)
	p.taken.Merge(h)
	h.Reset()
	return p.piece
}

// all returns a copy of what h holds now and held before.
func (p *pieces) all(h *job.Hist) *job.Hist {
	all := job.NewHist()
	all.Merge(h)
	all.Merge(p.taken)
	return all
}
