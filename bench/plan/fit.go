package plan

import (
	"cmp"
	"math"
	"slices"

	"tapecast/bench/proto"
	"tapecast/bench/text"
)

// fit finds the model's constants by least squares over the points. Errors count as
// shares, so a point of 0.05 cores weighs as much as one of a whole core.
func (c *Calibration) fit() {
	m := &c.Model
	var rows [][]float64
	var want []float64
	for _, p := range c.Points {
		c.cover(&p)
	}
	m.Crowd = c.MostConnections / math.Max(c.Loops, 1)
	m.Visit = 0
	if slices.ContainsFunc(c.Points, func(p Point) bool { return p.overloaded() }) {
		m.Visit = c.MostSend
	}
	for _, p := range c.Points {
		cpu := p.Seconds * (p.Cores/p.slow() - m.Base - p.Load.Connections*m.Idle)
		rest := p.rest()
		thawed := p.Sends * thaw(1-rest)
		rows = append(rows, scaled([]float64{
			p.Sends, p.Sends * many(p.each(), m.Crowd), thawed, thawed * chill(p.each(), m.Crowd),
			p.Seconds * batches(p.Records/p.Seconds) * rest, p.Frames, p.Wire, m.perVisit(&p), p.Records,
		}, 1/cpu))
		want = append(want, 1)
	}
	x := nonNegative(rows, want)
	m.Send, m.Many, m.Cold, m.Chill, m.Wake, m.Frame, m.Byte, m.Long, m.Record = x[0], x[1], x[2], x[3], x[4], x[5],
		x[6], x[7], x[8]
	m.Envelope = c.envelope()
	m.LoopShare = c.loopShare()
	c.fitMemory()
	c.fitLatency()
	for _, p := range c.Points {
		if f := p.forecast(m); !f.Saturated {
			c.Worst = math.Max(c.Worst, math.Abs(f.Cores/p.Cores-1))
		}
	}
}

func (c *Calibration) cover(p *Point) {
	c.MostConnections = math.Max(c.MostConnections, p.Load.Connections)
	c.MostDelivered = math.Max(c.MostDelivered, p.Frames/p.Seconds)
	c.MostBytes = math.Max(c.MostBytes, p.Bytes)
	c.MostSend = math.Max(c.MostSend, p.Wire/math.Max(p.Sends, 1))
	for _, s := range p.Load.Streams {
		c.MostSize = math.Max(c.MostSize, s.Size)
		c.MostRate = math.Max(c.MostRate, s.Rate)
		if c.LeastRate == 0 || s.Rate < c.LeastRate {
			c.LeastRate = s.Rate
		}
	}
}

// perVisit returns the coefficient of Long over all sends of the point.
func (m *Model) perVisit(p *Point) float64 {
	if m.Visit == 0 {
		return 0
	}
	return p.Wire * p.Wire / math.Max(p.Sends, 1) / m.Visit
}

// overloaded reports whether the loops did not send everything that was due.
func (p *Point) overloaded() bool {
	var due float64
	for _, s := range p.Load.Streams {
		due += s.Rooms * s.Members * s.Rate
	}
	return p.Frames < 0.9*due*p.Seconds
}

// rest returns the share of the time that loops were asleep. Passing cannot tell: passes
// over many rooms take turns, and each counts the others' time.
func (p *Point) rest() float64 {
	return 1 - math.Min(1, p.Busy/p.Seconds/math.Max(p.Load.Loops, 1))
}

func (p *Point) slow() float64 { return cmp.Or(p.Slowness, 1) }

func (p *Point) each() float64 { return p.Load.Connections / math.Max(p.Load.Loops, 1) }

// envelope returns the bytes of a frame beyond its value and header.
func (c *Calibration) envelope() float64 {
	var v []float64
	for _, p := range c.Points {
		if p.Frames > 0 && len(p.Load.Streams) == 1 {
			per := p.Wire / p.Frames
			v = append(v, per-float64(proto.FrameOverhead(int(per)))-p.Load.Streams[0].Size)
		}
	}
	return math.Max(0, text.Median(v))
}

// loopShare returns the time of passes relative to their sends' CPU time, where nothing else sends.
func (c *Calibration) loopShare() float64 {
	var v []float64
	m := &c.Model
	for _, p := range c.Points {
		warm, cold := m.sending(p.each())
		cpu := p.slow() * (p.Sends*(warm+cold*thaw(1-p.rest())+m.long(p.Wire/math.Max(p.Sends, 1))) + p.Frames*m.Frame +
			p.Wire*m.Byte)
		if s := p.Load.Streams; len(s) == 1 && s[0].Rooms == 1 && p.Passing > 0 && cpu > 0 {
			v = append(v, p.Passing/cpu)
		}
	}
	if len(v) == 0 {
		return 1
	}
	return text.Median(v)
}

// fitMemory finds what connections and tapes take of memory, and connections in the kernel.
func (c *Calibration) fitMemory() {
	m := &c.Model
	var rows [][]float64
	var want, kernel []float64
	for _, p := range c.Points {
		rows = append(rows, scaled([]float64{1, p.Load.Connections, p.Tapes}, 1/p.Resident))
		want = append(want, 1)
		if p.Kernel > 0 && p.Load.Connections >= fewConnections { // with fewer, other memory is as much
			kernel = append(kernel, p.Kernel/p.Load.Connections)
		}
	}
	x := nonNegative(rows, want)
	m.Resident, m.Connection, m.Tape = x[0], x[1], x[2]
	if len(kernel) > 0 {
		m.Kernel = text.Median(kernel)
	}
}

// fewConnections are too few to show the cost of one connection.
const fewConnections = 500

// fitLatency finds how latency follows from the pass, by least squares of the errors'
// shares: a floor plus a factor times the pass. For loops that are always busy it takes the
// floor of the others.
func (c *Calibration) fitLatency() {
	m := &c.Model
	m.Floor50, m.Rest50 = c.line(func(p *Point) float64 { return p.P50 })
	m.Floor99, m.Rest99 = c.line(func(p *Point) float64 { return p.P99 })
	m.Always50, m.Always99 = 1, 2 // of a member that waits for one pass and is anywhere in the next
	var always50, always99 []float64
	for _, p := range c.Points {
		if f := p.forecast(m); f.LoopBusy == 1 && !f.Saturated {
			always50, always99 = append(always50, (p.P50-m.Floor50)/f.Pass), append(always99, (p.P99-m.Floor99)/f.Pass)
		}
	}
	if len(always99) > 0 {
		m.Always50, m.Always99 = math.Max(0, text.Median(always50)), math.Max(0, text.Median(always99))
	}
}

// line returns the floor, and the slope over the pass, of a latency where loops rest.
func (c *Calibration) line(latency func(*Point) float64) (floor, slope float64) {
	var rows [][]float64
	var want []float64
	for _, p := range c.Points {
		// With few connections, latency is mostly the reading of records.
		if f := p.forecast(&c.Model); f.LoopBusy < 1 && p.Load.Connections >= fewConnections && latency(&p) > 0 {
			rows = append(rows, scaled([]float64{1, f.Pass}, 1/latency(&p)))
			want = append(want, 1)
		}
	}
	if len(rows) == 0 {
		return 0, 1
	}
	x := nonNegative(rows, want)
	return x[0], x[1]
}

func scaled(row []float64, by float64) []float64 {
	for i := range row {
		row[i] *= by
	}
	return row
}

// nonNegative returns the x without negative members for which rows·x is nearest to want
// (least squares). It uses coordinate descent, since there are only a handful of unknowns.
func nonNegative(rows [][]float64, want []float64) []float64 {
	n := len(rows[0])
	x, norm := make([]float64, n), make([]float64, n)
	for _, r := range rows {
		for k, v := range r {
			norm[k] += v * v
		}
	}
	left := slices.Clone(want) // want - rows·x
	for range 100_000 {
		var moved float64
		for k := range x {
			if norm[k] == 0 {
				continue
			}
			var g float64
			for i, r := range rows {
				g += r[k] * left[i]
			}
			d := math.Max(g/norm[k], -x[k])
			x[k] += d
			for i, r := range rows {
				left[i] -= r[k] * d
			}
			moved = math.Max(moved, d*d*norm[k])
		}
		if moved < 1e-18 {
			break
		}
	}
	return x
}
