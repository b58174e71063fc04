package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// WriteText writes what was measured beside what the model predicts.
func (c *Calibration) WriteText(w io.Writer) error {
	t := &text.Table{}
	m := c.Model
	t.Line("calibration · %d points, model within %.1f %% of the CPU of each; the same load took between 1 and %.2f "+
		"times the CPU meanwhile", len(c.Points), 100*c.Worst, c.Varied)
	for i := range c.Points {
		c.Points[i].row(t, &m)
	}
	t.Row("CPU",
		"send %s (%s more to one of many, %s more where the loop rests, another %s where it has many and rests) · "+
			"frame %s · byte %.3g ns (%.3g ns more in sends of %s) · record %s (%s more where it wakes the loop) · "+
			"handshake %s", us(m.Send), us(m.Many), us(m.Cold), us(m.Chill), us(m.Frame), m.Byte*1e9, m.Long*1e9,
		text.Size(m.Visit), us(m.Record), us(m.Wake), us(m.Handshake))
	t.Row("at rest", "%.3f cores and %.3g µs/s a connection", m.Base, m.Idle*1e6)
	t.Row("memory", "%s + %s a connection + %.2f × tapes · kernel %s a connection", text.Size(m.Resident),
		text.Size(m.Connection), m.Tape, text.Size(m.Kernel))
	t.Row("latency", "p99 %s + %.2f × pass, always busy %.2f × round", job.MS(m.Floor99), m.Rest99, m.Always99)
	return t.Write(w)
}

func (p *Point) row(t *text.Table, m *Model) {
	s, f := p.Load.Streams[0], p.forecast(m)
	t.Line("%s clients, %s room(s), %s msg/s of %s B each", text.Count(int64(p.Load.Connections)), text.Number(s.Rooms),
		text.Number(s.Rate), text.Number(s.Size))
	vs := func(name, unit string, measured, said float64) {
		t.Row(name, "%.4g%s measured, %.4g%s predicted (%+.1f %%)", measured, unit, said, unit, 100*(said/measured-1))
	}
	if p.Slowness > 0 {
		t.Row("  machine",
			"%.2f × the calibration's CPU for the reference load; without that %.4g cores predicted (%+.1f %%)",
			p.Slowness, m.Predict(p.Load).Cores, 100*(m.Predict(p.Load).Cores/p.Cores-1))
	}
	if f.Saturated {
		t.Row("  cannot", "be served, predicted; %.4g MB/s measured, p99 %.4g ms", p.Bytes/(1<<20), p.P99)
		return
	}
	vs("  cores", "", p.Cores, f.Cores)
	vs("  p99", " ms", p.P99, f.P99)
	vs("  p50", " ms", p.P50, f.P50)
	vs("  resident", " MB", p.Resident/(1<<20), f.Resident/(1<<20))
	if p.Kernel > 0 {
		vs("  kernel", " MB", p.Kernel/(1<<20), f.Kernel/(1<<20))
	}
	vs("  bytes", " MB/s", p.Bytes/(1<<20), f.Bytes/(1<<20))
	t.Row("  a send", "%.2f frames measured, %.2f predicted", p.Frames/p.Sends, f.PerSend)
}

// forecast returns what m predicts for the point's load on a machine as slow as it was then.
func (p *Point) forecast(m *Model) Forecast {
	slow := m.slowed(p.slow())
	return slow.Predict(p.Load)
}

// LoadCalibration reads a file that was written as JSON.
func LoadCalibration(file string) (*Calibration, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, job.Inputf("cannot read calibration %s: %v", file, job.ReasonOf(err))
	}
	var is struct{ Version int }
	if err := json.Unmarshal(b, &is); err != nil {
		return nil, job.Inputf("%s is not a calibration: %v", file, err)
	}
	if is.Version != CalibrationVersion {
		return nil, job.Inputf("%s has version %d of calibrations, this tapecast-bench reads %d: calibrate again", file,
			is.Version, CalibrationVersion)
	}
	var c Calibration
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, job.Inputf("%s is not a calibration: %v", file, err)
	}
	if c.Model.Send+c.Model.Many <= 0 {
		return nil, job.Inputf("%s has no cost of a send: calibrate again", file)
	}
	return &c, nil
}

// Save writes a calibration that LoadCalibration reads.
func (c *Calibration) Save(file string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the calibration: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return job.Inputf("--out: %v", err)
	}
	return nil
}
