package rooms

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"

	"tapecast/rooms/wire"
)

// plainly is the payload of a frame, inflated where it says that it is deflated.
func plainly(t testing.TB, frame []byte) string {
	t.Helper()
	p := frame[wire.HeaderLen(frame):]
	if frame[0]&wire.Deflated == 0 {
		return string(p)
	}
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p),
		strings.NewReader(flushed+"\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeflatedTape: every member that takes deflated frames, since when and how far behind,
// gets the same messages as others, with the same numbers; and once nobody does,
// nothing is left of them.
func TestDeflatedTape(t *testing.T) {
	small, plain := 0, 0
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 12))
		feed := newOpenFeed(1)
		class := &Class{Name: "c", Deflate: true, Conflate: true, Keep: true, RetainBytes: 64 << 10,
			RetainAge: 20 * time.Second}
		m := newManual(t, Config{}, &Pattern{Match: "a", Class: class, Feed: feed})
		m.join(m.listen(), "a")
		r := m.room("a")
		type member struct {
			at    uint64
			takes bool
		}
		var members []*member
		takers, off := 0, int64(0)
		for range 400 {
			switch k := rnd.IntN(10); {
			case k < 2:
				x := &member{r.Head(), rnd.IntN(2) == 0}
				if members = append(members, x); x.takes {
					takers++
					r.TakeDeflated(1)
				}
			case k < 4 && len(members) > 0:
				i := rnd.IntN(len(members))
				if members[i].takes {
					takers--
					r.TakeDeflated(-1)
				}
				members = append(members[:i], members[i+1:]...)
			case k == 4:
				m.pass(time.Duration(rnd.IntN(4000)) * time.Millisecond)
				m.sweep()
			default:
				for range 1 + rnd.IntN(20) {
					value := fmt.Sprintf(`"%d %s"`, off, strings.Repeat("price ", rnd.IntN(1+rnd.IntN(200))))
					m.batch.Add(&Record{Pattern: r.Pattern(), Room: []byte("a"), Type: "t",
						Key: fmt.Append(nil, rnd.IntN(40)), HasKey: true, Offset: off, Time: 1, Value: []byte(value)})
					m.batch.Progress(feed, 0, off)
					m.send()
					off++
				}
			}
			for _, x := range members {
				if rnd.IntN(3) == 0 {
					continue // it lags
				}
				var pieces []Piece
				var next uint64
				lagged := false
				filter := &Filter{Deflated: x.takes}
				switch how := rnd.IntN(3); {
				case how == 0:
					next, pieces, _, lagged = r.CutLatest(x.at, Known{}, 9000, filter, nil)
				case how == 1:
					next, pieces, lagged = r.CutSome(x.at, 9000, filter, nil)
				case x.takes:
					next, pieces, lagged = r.CutDeflated(x.at, 9000, nil)
				default:
					next, pieces, lagged = r.Cut(x.at, 9000, nil)
				}
				if lagged {
					x.at = r.Tail()
					continue
				}
				for _, p := range pieces {
					rest := p.Bytes
					for k := range p.Frames() {
						n := len(rest)
						if p.c != nil {
							n = int(p.c.at[p.from+k].end - p.c.start(p.from+k))
						}
						frame := rest[:n]
						rest = rest[n:]
						if num := p.First() + uint64(k); !strings.Contains(plainly(t, frame),
							fmt.Sprintf(`"data":"%d `, num)) {
							t.Fatalf("frame %d says %.200s", num, plainly(t, frame))
						}
						if frame[0]&wire.Deflated == 0 {
							plain++
						} else if small++; !x.takes {
							t.Fatal("a deflated frame for a member that does not take them")
						}
					}
				}
				x.at = next
			}
		}
		for _, x := range members {
			if x.takes {
				takers--
				r.TakeDeflated(-1)
			}
		}
		if takers != 0 {
			t.Fatal(takers)
		}
		m.sweep()
		if z := r.second(); z.dir != nil {
			t.Error("the second tape outlives its readers")
		}
		m.pass(time.Hour)
		m.sweep()
		if used := m.Stats().TapeBytes; used != 0 {
			t.Errorf("%d bytes are still counted", used)
		}
	}
	t.Logf("%d deflated and %d plain frames", small, plain)
	if small < 10_000 || plain < 10_000 {
		t.Errorf("%d deflated and %d plain frames: this shows little", small, plain)
	}
}

func TestDeflater(t *testing.T) {
	var d Deflater
	for _, n := range []int{0, 1, minDeflate - 1, minDeflate, 1000, 70_000} {
		p := []byte(strings.Repeat("a quote of BTCUSDT, ", n/20+1)[:n])
		frame := d.AppendFrame(nil, wire.OpText, p)
		if got := plainly(t, frame); got != string(p) {
			t.Errorf("%d bytes become %d", n, len(got))
		}
		if deflates := frame[0]&wire.Deflated != 0; deflates != (n >= minDeflate) || deflates && len(frame) > n/2+20 {
			t.Errorf("%d bytes make a frame of %d", n, len(frame))
		}
	}
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	if frame := d.AppendFrame(nil, wire.OpBinary, noise); frame[0] != 0x80|wire.OpBinary || len(frame) != 4+len(noise) {
		t.Error("what does not shrink is sent deflated")
	}
}

// BenchmarkDeflate: one message of 1,000 bytes, as the appender deflates it.
func BenchmarkDeflate(b *testing.B) {
	var p []byte
	for i := 0; len(p) < 1000; i++ {
		p = fmt.Appendf(p, `{"f%d":"%d.%04d","q":%d}`, i, i*7919%100_000, i*104_729%10_000, i*31_337%65_536)
	}
	var d Deflater
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = d.AppendFrame(out[:0], wire.OpText, p[:1000])
	}
	b.ReportMetric(float64(len(out)), "bytes")
}
