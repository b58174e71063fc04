package rooms

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// heard is what a client of a resumed room gets from the tape: partition and offset.
func (m *manual) heard(s *Member) (got []Pos) {
	m.t.Helper()
	r, at := s.Sub.Room(), s.At
	filter := &Filter{}
	filter.Resumed(s.Resume)
	for at < r.Head() {
		next, pieces, lagged := r.CutSome(at, 300, filter, nil)
		if lagged {
			m.t.Fatal("lagged")
		}
		for _, p := range pieces {
			w := r.window()
			for k := range uint64(p.Frames()) {
				if f := w.frame(p.First() + k); f.source.record() {
					got = append(got, Pos{f.source.partition(), f.off})
				}
			}
		}
		at = next
	}
	return got
}

// readAgain is what a member is sent of a Past of all that the room ever got.
func readAgain(t *testing.T, p *Pattern, name string, all []Pos, how *Resume) (got []Pos) {
	t.Helper()
	var records []Record
	for _, x := range all {
		records = append(records,
			Record{Type: "t", Partition: x.Partition, Offset: x.Offset, Time: 1, Value: []byte("1")})
	}
	past := NewPast(p, name, records, nil)
	var pieces []Piece
	for at, next := 0, 0; at < past.Frames(); at = next {
		next, pieces = past.Cut(at, 500, &Filter{Have: how.Have}, how.UpTo, nil)
		for _, one := range pieces {
			for k := range one.Frames() {
				x := all[int(one.First())+k]
				got = append(got, x)
				if at, _ := one.Sent(len(one.Bytes)); at != one.First()+uint64(one.Frames()) {
					t.Fatalf("a piece of %d frames from %d ends at %d", one.Frames(), one.First(), at)
				}
			}
		}
	}
	return got
}

// TestResumeModel: a client that comes back with the position it had gets exactly what it
// lacks, in order within each partition, or hears that the tape does not reach back.
// Partitions that it does not name, since they are younger or were not named by the rule
// of before, are read from their start.
func TestResumeModel(t *testing.T) {
	resumed, recalled, tooOld, early, less := 0, 0, 0, 0, 0
	for seed := range uint64(24) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		feed := newOpenFeed(3)
		stream := &Class{Name: "stream", RetainBytes: 8 << 10, RetainAge: 20 * time.Second}
		private := &Class{Name: "private", Owner: "{sub}", RetainBytes: 8 << 10, RetainAge: 20 * time.Second}
		ps := []*Pattern{{Match: "a", Class: stream, Feed: feed}, {Match: "o:{owner}", Class: private, Feed: feed}}
		m := newManual(t, Config{}, ps...)
		l := m.listen()
		if rnd.IntN(2) == 0 {
			m.join(l, "a")
		}
		names := []string{"a", "o:1", "o:2"}
		records := map[string][]Pos{} // by room, in the order read
		next := make([]int64, 3)
		for step := range 400 {
			if step == 200 {
				m.batch.Grow(feed, 5)
				next = append(next, 0, 0)
			}
			for range 1 + rnd.IntN(6) {
				part := int32(rnd.IntN(len(next)))
				name := names[rnd.IntN(3)]
				if rnd.IntN(4) > 0 {
					m.add(name, part, next[part], fmt.Sprint(step))
					records[name] = append(records[name], Pos{part, next[part]})
				}
				m.batch.Progress(feed, part, next[part])
				next[part]++
			}
			m.send()
			m.pass(time.Duration(rnd.IntN(400)) * time.Millisecond)
			if rnd.IntN(10) == 0 {
				m.sweep()
			}
			name := names[rnd.IntN(3)]
			since, lacking := Positions{Epoch: "e1"}, 0
			for part := range int32(len(next)) {
				if rnd.IntN(40) == 0 {
					lacking++
				} else if off := next[part] - 1 - int64(rnd.IntN(1+rnd.IntN(60))); off >= 0 {
					since.Offsets = append(since.Offsets, Pos{part, off})
				}
			}
			p, _, _ := m.cfg.Catalog.Resolve(name)
			j := &Join{Done: func(*Join) {}, Rooms: []Member{{Name: name, Pattern: p, Since: &since}}}
			m.Join(l, j)
			m.answer()
			member := &j.Rooms[0]
			if member.TooOld != nil {
				if errors.As(member.TooOld, new(*NotNowError)) { // the shard has heard of no record yet
					early++
				} else if !errors.As(member.TooOld, new(*TooOldError)) {
					t.Fatal(member.TooOld)
				}
				tooOld++
			} else {
				resumed++
				less += min(lacking, 1)
				want := map[int32][]int64{}
				for _, x := range records[name] {
					if off := since.of(x.Partition); off == nil || x.Offset > off.Offset {
						want[x.Partition] = append(want[x.Partition], x.Offset)
					}
				}
				got := map[int32][]int64{}
				if how := member.Resume; how.Recall {
					recalled++
					for _, x := range readAgain(t, p, name, records[name], how) {
						got[x.Partition] = append(got[x.Partition], x.Offset)
					}
				}
				for _, x := range m.heard(member) {
					got[x.Partition] = append(got[x.Partition], x.Offset)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("seed %d, step %d: %s since %v got %v, want %v", seed, step, name,
						since.Offsets, got, want)
				}
			}
			if rnd.IntN(3) > 0 {
				m.leave(member.Sub)
			}
		}
	}
	t.Logf("%d resumed, %d of them read again, %d without a partition, %d too old", resumed, recalled, less, tooOld)
	if resumed-recalled < 4000 || recalled < 100 || less < 500 || early > 200 {
		t.Errorf("%d resumed, %d of them read again, %d without a partition, %d too early: this shows little",
			resumed, recalled, less, early)
	}
}
