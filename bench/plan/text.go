package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
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

// WriteText writes the answer, and the source of each number.
func (p *Plan) WriteText(w io.Writer) error {
	t := &text.Table{}
	c := p.question
	t.Line("plan · %s connections, p99 of %s from due to read, at the peak", text.Count(int64(c.Connections)),
		job.MS(c.P99))
	for _, s := range c.Streams {
		t.Row(s.Name, "%s room(s), each connection in %s of them · %s messages/s a room, %s at the peak · %s B",
			text.Count(int64(s.Rooms)), text.Number(s.Joined), text.Number(s.Mean), text.Number(s.Peak),
			text.Number(s.Size))
		if every := s.every(); every > 0 {
			kept := "with everything that came meanwhile"
			if s.Keys > 0 {
				kept = "with the newest of each of " + text.Number(s.Keys) + " keys"
			}
			t.Row("", "at most one send to a member every %s, %s", job.MS(1e3*every), kept)
		}
	}
	t.Line("")
	t.Row("nodes", "%s of %s cores with %s loop(s), and %s of them may be lost", text.Count(int64(p.Nodes)),
		text.Number(p.Cores), text.Number(p.Loops), text.Number(c.Spare))
	t.Row("connections", "%s a node", text.Count(int64(math.Ceil(p.Load.Connections))))
	p.forecast(t, "at the peak", p.Peak)
	p.forecast(t, "in the mean", p.Mean)
	if p.Nodes > 1 {
		p.forecast(t, "one node lost", p.Lost)
	}
	t.Row("memory", "a node: %s in the process, %s in the kernel", text.Size(p.Peak.Resident), text.Size(p.Peak.Kernel))
	t.Row("network", "a node sends %s/s at the peak, all nodes %s/s", text.Size(p.Peak.Bytes),
		text.Size(p.Peak.Bytes*p.Nodes))
	t.Row("Kafka", "all nodes read %s/s at the peak: each reads everything", text.Size(p.KafkaEgress))
	t.Row("reconnect", "all connections at once: %s s; those of one lost node, on the others: %s s",
		text.Number(math.Round(p.Reconnect*10)/10), text.Number(math.Round(p.Spread*10)/10))
	t.Line("")
	t.Line("what fills first, on a node at the peak")
	for _, l := range p.Limits {
		t.Row(l.Name, "%3.0f %% · %s", 100*l.Used, l.Why)
	}
	p.sources(t)
	for _, x := range c.Corrected {
		t.Row("corrected", "%s", x)
	}
	for _, o := range p.Outside {
		t.Row("EXTRAPOLATED", "%s", o)
	}
	p.hosts(t)
	p.queries(t)
	return t.Write(w)
}

// sources writes the model's formulas, with the calibrated figures in them.
func (p *Plan) sources(t *text.Table) {
	m := p.cal.Model
	t.Line("")
	t.Line("the model (%s, %s, %s; within %.0f %% of the CPU of each of %d points)",
		p.cal.Made.Format("2006-01-02"),
		map[bool]string{true: "TLS", false: "no TLS"}[p.cal.TLS],
		map[bool]string{true: "through Kafka", false: "past Kafka"}[p.cal.Kafka], 100*p.cal.Worst,
		len(p.cal.Points))
	t.Row("CPU",
		"sends × %s (%s with few connections) + frames × %s + bytes × %.3g ns "+
			"(%.3g ns more in sends of %s) + records "+
			"× %s + connections × %.3g µs/s + %.3g cores", us(m.Send+m.Many), us(m.Send), us(m.Frame), m.Byte*1e9,
		m.Long*1e9, text.Size(m.Visit), us(m.Record), m.Idle*1e6, m.Base)
	t.Row("", "while a loop rests: up to %s more for a send (%s with few connections), up to %s more for a record",
		us(m.Cold+m.Chill), us(m.Cold), us(m.Wake))
	t.Row("",
		"while loops rest between passes, each send carries one frame, or what came since the member's last send; "+
			"a loop that is always busy makes a round in")
	t.Row("",
		"connections × send ÷ (1 − messages/s × (frame + bytes)), longer if sends are long: "+
			"each carries everything that came meanwhile")
	t.Row("latency", "%s + %.2f × the pass, p99; of a loop that is always busy %s + %.2f × the round",
		job.MS(m.Floor99), m.Rest99, job.MS(m.Floor99), m.Always99)
	t.Row("memory", "%s + %s a connection + %.2f × tapes; kernel %s a connection", text.Size(m.Resident),
		text.Size(m.Connection), m.Tape, text.Size(m.Kernel))
	t.Row("handshake", "%s of CPU", us(m.Handshake))
	t.Row("the machine", "the same load took up to %.0f %% more CPU in one minute of the calibration than in another",
		100*(p.cal.Varied-1))
}

func (p *Plan) forecast(t *text.Table, when string, f Forecast) {
	if f.Saturated {
		t.Row(when, "cannot be served: frames and bytes alone exceed what its loops can send")
		return
	}
	t.Row(when, "%.1f cores a node · p50 %s, p99 %s · %s messages/s, %.1f to a send, loops busy %.0f %%", f.Cores,
		job.MS(f.P50), job.MS(f.P99), text.Count(int64(f.Delivered)), f.PerSend, 100*f.LoopBusy)
}

func us(s float64) string { return fmt.Sprintf("%.3g µs", s*1e6) }

// hosts writes what to raise on each node.
func (p *Plan) hosts(t *text.Table) {
	n := p.Load.Connections
	if p.Nodes > 1 { // with its share of a lost node's connections
		n = p.question.Connections / (p.Nodes - 1)
	}
	n = math.Ceil(n * 1.1)
	pages := math.Ceil((p.Peak.Kernel + n/100*145*1024) / 4096)
	t.Line("")
	t.Line("on each host (for %s connections, a tenth more than after the loss of one node)", text.Count(int64(n)))
	t.Row("descriptors", "LimitNOFILE=%d (systemd) or ulimit -n, and limits.connections below it", int64(n)+1024)
	t.Row("", "sysctl fs.nr_open=%d fs.file-max=%d", max(int64(n)+1024, 1<<20), max(2*int64(n), 1<<21))
	t.Row("backlog", "sysctl net.core.somaxconn=%d net.ipv4.tcp_max_syn_backlog=%d", backlog(n), 2*backlog(n))
	t.Row("ports",
		"a load balancer has 28,000 (or with ip_local_port_range 64,000) for each of its addresses to each node: %.0f "+
			"address(es)", math.Ceil(n/28_000))
	t.Row("conntrack", "sysctl net.netfilter.nf_conntrack_max=%d if it is loaded, or NOTRACK for the port",
		2*int64(n))
	t.Row("socket memory",
		"sysctl net.ipv4.tcp_mem=\"%.0f %.0f %.0f\" (pages): a hundredth of the clients stalled, each with 145 KB "+
			"unsent", pages, pages*1.5, pages*2)
}

// backlog returns a backlog for the clients that connect in one second of a storm.
func backlog(n float64) int64 { return max(4096, int64(n/8)) }

// queries writes PromQL for the same figures of a gateway that runs.
func (p *Plan) queries(t *text.Table) {
	t.Line("")
	t.Line("the same figures of a running gateway, in Prometheus")
	t.Row("cores", "sum(rate(process_cpu_seconds_total{job=\"tapecast\"}[5m])) by (instance)")
	t.Row("frames a send", "rate(tapecast_messages_sent_total[5m]) / rate(tapecast_sends_total[5m])")
	t.Row("CPU a message",
		"rate(process_cpu_seconds_total{job=\"tapecast\"}[5m]) / rate(tapecast_messages_sent_total[5m])")
	t.Row("pass", "rate(tapecast_pass_seconds_total[5m]) / rate(tapecast_passes_total[5m])")
	t.Row("memory", "process_resident_memory_bytes{job=\"tapecast\"} / tapecast_connections")
	t.Row("network", "sum(rate(tapecast_bytes_sent_total[5m])) by (instance)")
	t.Row("Kafka", "sum(rate(tapecast_ingest_bytes_total[5m]))")
	t.Row("storms", "rate(tapecast_handshakes_total[1m])")
}
