package worker

import "tapecast/bench/job"

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
		Latency: r.takeLatency(), Lag: l.lags.take(l.lag),
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
	if p.taken != nil {
		all.Merge(p.taken)
	}
	return all
}
