package worker

import (
	"encoding/json"
	"io"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/bench/proto"
)

// BenchmarkRead shows what one core can take. It must stay well above 10 M frames a second, the
// most that a gateway is expected to deliver.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name        string
		bare, check bool
	}{{"bare", true, false}, {"envelope", false, false}, {"bare-check", true, true}, {"envelope-check", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			const frames = 400 // what a client finds after a pass of a quarter second at 1,600 msg/s
			shape, err := job.NewValueShape(128, "")
			if err != nil {
				b.Fatal(err)
			}
			s, _ := job.NewSchedule(1e18, 1600)
			var buf []byte
			for n := range int64(frames) {
				v := shape.Make(nil, s.Due(n), n)
				if !c.bare {
					v = envelope(v, n)
				}
				buf = proto.AppendServerFrame(buf, proto.OpText, v)
			}
			r := newReader(shape, c.bare, c.check)
			r.start(job.Timing{FeedTiming: job.FeedTiming{Schedule: s}}, newTally(1, &job.Assignment{}, 0))
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				r.tally.next[0] = 0
				if used, err := r.read(0, buf, 1e18+5e8); err != nil || used != len(buf) {
					b.Fatal(used, err)
				}
				if r.chain != nil {
					clear(r.chain.last)
				}
			}
			b.ReportMetric(float64(b.N)*frames/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkInterval shows what a timeline costs the readers, once a second or less.
func BenchmarkInterval(b *testing.B) {
	l := &loop{reader: newReader(job.ValueShape{}, true, false), lag: job.NewHist(), clock: machine.NewClock()}
	for b.Loop() {
		for k := range int64(1000) {
			l.reader.latency.Record(k * 100_000)
		}
		l.lag.Record(1e6)
		if err := json.NewEncoder(io.Discard).Encode(job.Answer{Interval: l.interval()}); err != nil {
			b.Fatal(err)
		}
	}
}
