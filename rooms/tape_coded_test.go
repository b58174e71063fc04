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

// TestCodedTapes: every member that takes frames in another form, since when and how far behind,
// gets the same messages as others, with the same numbers; and once nobody does,
// nothing is left of them.
func TestCodedTapes(t *testing.T) {
	for how, name := range map[Coding]string{Deflated: "deflated", AsEvents: "events"} {
		t.Run(name, func(t *testing.T) { testCoded(t, how) })
	}
}

func testCoded(t *testing.T, how Coding) {
	small, plain := 0, 0
	for seed := range uint64(20) {
		x := newCoding(t, seed, how)
		for range 400 {
			x.step()
			for _, v := range x.members {
				if x.rnd.IntN(3) > 0 { // else it lags
					x.visit(v)
				}
			}
		}
		x.allLeave()
		small, plain = small+x.small, plain+x.plain
	}
	t.Logf("%d frames in that form and %d plain ones", small, plain)
	if small < 10_000 || plain < 10_000 {
		t.Errorf("%d frames in that form and %d plain ones: this shows little", small, plain)
	}
}

// coding is a room with two tapes. Some of its members take frames of the second.
type coding struct {
	*manual
	how          Coding
	rnd          *rand.Rand
	feed         *Feed
	r            *Room
	members      []*taking
	takers       int
	off          int64
	small, plain int // frames that were read
}

type taking struct {
	at    uint64
	takes bool
}

func newCoding(t *testing.T, seed uint64, how Coding) *coding {
	feed := newOpenFeed(1)
	class := &Class{Name: "c", Deflate: true, Conflate: true, Keep: true, RetainBytes: 64 << 10,
		RetainAge: 20 * time.Second}
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: class, Feed: feed})
	m.join(m.listen(), "a")
	return &coding{manual: m, how: how, rnd: rand.New(rand.NewPCG(seed, 12)), feed: feed, r: m.room("a")}
}

// step lets a member come or go, or time pass, or publishes.
func (x *coding) step() {
	x.t.Helper()
	switch k := x.rnd.IntN(10); {
	case k < 2:
		v := &taking{x.r.Head(), x.rnd.IntN(2) == 0}
		if x.members = append(x.members, v); v.takes {
			x.takers++
			x.r.Take(x.how, 1)
		}
	case k < 4 && len(x.members) > 0:
		i := x.rnd.IntN(len(x.members))
		if x.members[i].takes {
			x.takers--
			x.r.Take(x.how, -1)
		}
		x.members = append(x.members[:i], x.members[i+1:]...)
	case k == 4:
		x.pass(time.Duration(x.rnd.IntN(4000)) * time.Millisecond)
		x.sweep()
	default:
		for range 1 + x.rnd.IntN(20) {
			value := fmt.Sprintf(`"%d %s"`, x.off, strings.Repeat("price ", x.rnd.IntN(1+x.rnd.IntN(200))))
			x.batch.Add(&Record{Pattern: x.r.Pattern(), Room: []byte("a"), Type: "t",
				Key: fmt.Append(nil, x.rnd.IntN(40)), HasKey: true, Offset: x.off, Time: 1, Value: []byte(value)})
			x.batch.Progress(x.feed, 0, x.off)
			x.send()
			x.off++
		}
	}
}

// visit sends a member something, in one of the ways that a loop may cut it.
func (x *coding) visit(v *taking) {
	x.t.Helper()
	var pieces []Piece
	var next uint64
	lagged := false
	filter := &Filter{}
	if v.takes {
		filter.Coding = x.how
	}
	switch how := x.rnd.IntN(3); {
	case how == 0:
		next, pieces, _, lagged = x.r.CutLatest(v.at, Known{}, 9000, filter, nil)
	case how == 1:
		next, pieces, lagged = x.r.CutSome(v.at, 9000, filter, nil)
	case v.takes:
		next, pieces, lagged = x.r.CutAs(x.how, v.at, 9000, nil)
	default:
		next, pieces, lagged = x.r.Cut(v.at, 9000, nil)
	}
	if lagged {
		v.at = x.r.Tail()
		return
	}
	for _, p := range pieces {
		x.read(v, p)
	}
	v.at = next
}

// read: each frame of a piece says its number, and is in another form only for those that take it.
func (x *coding) read(v *taking, p Piece) {
	x.t.Helper()
	rest := p.Bytes
	for k := range p.Frames() {
		n := len(rest)
		if p.c != nil {
			n = int(p.c.at[p.from+k].end - p.c.start(p.from+k))
		}
		frame := rest[:n]
		rest = rest[n:]
		text, coded := "", p.c != nil && p.c.events
		if event, ok := strings.CutPrefix(string(frame), "data: "); ok && coded {
			text = strings.TrimSuffix(event, "\n\n")
		} else {
			text, coded = plainly(x.t, frame), frame[0]&wire.Deflated != 0
		}
		if num := p.First() + uint64(k); !strings.Contains(text, fmt.Sprintf(`"data":"%d `, num)) {
			x.t.Fatalf("frame %d says %.200s", num, text)
		}
		if !coded {
			x.plain++
		} else if x.small++; !v.takes {
			x.t.Fatal("a frame of the second tape for a member that does not take it")
		}
	}
}

// allLeave: once nobody takes the form nothing is left of its tape.
func (x *coding) allLeave() {
	x.t.Helper()
	for _, v := range x.members {
		if v.takes {
			x.takers--
			x.r.Take(x.how, -1)
		}
	}
	if x.takers != 0 {
		x.t.Fatal(x.takers)
	}
	x.sweep()
	if z := x.r.second(x.how); z.dir != nil {
		x.t.Error("the second tape outlives its readers")
	}
	x.pass(time.Hour)
	x.sweep()
	if used := x.Stats().TapeBytes; used != 0 {
		x.t.Errorf("%d bytes are still counted", used)
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
