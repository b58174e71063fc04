package rooms

import (
	"math"
	"testing"
	"time"
)

// TestPieceTime: a frame has Kafka's timestamp wherever it is cut from, where the
// record had one.
func TestPieceTime(t *testing.T) {
	now := time.Now().UnixMilli()
	f := func(class *Class, ts, want int64) {
		t.Helper()
		p := &Pattern{Match: "r:{owner}", Class: class, Feed: newOpenFeed(1)}
		m := newManual(t, Config{}, p)
		member := m.join(m.listen(), "r:1")[0]
		if class.Deflate {
			member.Sub.Room().Take(Deflated, 1)
		}
		for i := range int64(3) {
			m.batch.Add(&Record{Pattern: p, Room: []byte("r:1"), Offset: i, Time: ts + i, Value: make([]byte, 200)})
		}
		m.send()
		r, at := member.Sub.Room(), member.At
		for _, how := range []Coding{Plain, Deflated} {
			_, pieces, _ := r.CutAs(how, at, math.MaxInt, nil)
			n := int64(0)
			for i := range pieces {
				for k := range pieces[i].Frames() {
					w := want
					if want > 0 {
						w = want + n
					}
					if got := pieces[i].Time(k); got != w {
						t.Errorf("frame %d has the time %d, want %d", n, got, w)
					}
					n++
				}
			}
			if n != 3 {
				t.Errorf("%d frames", n)
			}
		}
	}
	all := &Class{Name: "stream", Deflate: true}
	f(all, now, now)
	f(all, now-3_600_000, now-3_600_000)
	f(all, now+60_000, now+60_000) // another machine's clock
	f(all, now-40*24*3_600_000, 0) // months old: no age that a figure could be made of
	f(all, -10, 0)
	f(&Class{Name: "private", Owner: "{sub}"}, now-5, now-5)
}
