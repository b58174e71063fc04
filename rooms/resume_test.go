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
func readAgain(t testing.TB, p *Pattern, name string, all []Pos, how *Resume) (got []Pos) {
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
	var all resumes
	for seed := range uint64(24) {
		x := newResuming(t, seed)
		for step := range 400 {
			x.write(step)
			x.resume(step)
		}
		all.resumed += x.resumed
		all.recalled += x.recalled
		all.tooOld += x.tooOld
		all.early += x.early
		all.less += x.less
	}
	t.Logf("%d resumed, %d of them read again, %d without a partition, %d too old", all.resumed, all.recalled,
		all.less, all.tooOld)
	if all.resumed-all.recalled < 4000 || all.recalled < 100 || all.less < 500 || all.early > 200 {
		t.Errorf("%d resumed, %d of them read again, %d without a partition, %d too early: this shows little",
			all.resumed, all.recalled, all.less, all.early)
	}
}

// resumes counts how resumes went; early: the shard had heard of no record yet.
type resumes struct{ resumed, recalled, tooOld, early, less int }

// resuming is three rooms of a topic, what each was sent, and clients that resume them.
type resuming struct {
	*manual
	resumes
	seed    uint64
	rnd     *rand.Rand
	feed    *Feed
	l       *Listener
	names   []string
	records map[string][]Pos // by room, in the order read
	next    []int64          // by partition
}

func newResuming(t *testing.T, seed uint64) *resuming {
	feed := newOpenFeed(3)
	stream := &Class{Name: "stream", RetainBytes: 8 << 10, RetainAge: 20 * time.Second}
	private := &Class{Name: "private", Owner: "{sub}", RetainBytes: 8 << 10, RetainAge: 20 * time.Second}
	m := newManual(t, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed},
		&Pattern{Match: "o:{owner}", Class: private, Feed: feed})
	x := &resuming{manual: m, seed: seed, rnd: rand.New(rand.NewPCG(seed, 5)), feed: feed, l: m.listen(),
		names: []string{"a", "o:1", "o:2"}, records: map[string][]Pos{}, next: make([]int64, 3)}
	if x.rnd.IntN(2) == 0 {
		m.join(x.l, "a")
	}
	return x
}

// write publishes some records, and lets time pass. Half way the topic grows.
func (x *resuming) write(step int) {
	x.t.Helper()
	if step == 200 {
		x.batch.Grow(x.feed, 5)
		x.next = append(x.next, 0, 0)
	}
	for range 1 + x.rnd.IntN(6) {
		part := int32(x.rnd.IntN(len(x.next)))
		name := x.names[x.rnd.IntN(3)]
		if x.rnd.IntN(4) > 0 {
			x.add(name, part, x.next[part], fmt.Sprint(step))
			x.records[name] = append(x.records[name], Pos{part, x.next[part]})
		}
		x.batch.Progress(x.feed, part, x.next[part])
		x.next[part]++
	}
	x.send()
	x.pass(time.Duration(x.rnd.IntN(400)) * time.Millisecond)
	if x.rnd.IntN(10) == 0 {
		x.sweep()
	}
}

// resume lets a client come back that was somewhere, and compares what it gets.
func (x *resuming) resume(step int) {
	x.t.Helper()
	name := x.names[x.rnd.IntN(3)]
	since, lacking := Positions{Epoch: "e1"}, 0
	for part := range int32(len(x.next)) {
		if x.rnd.IntN(40) == 0 {
			lacking++
		} else if off := x.next[part] - 1 - int64(x.rnd.IntN(1+x.rnd.IntN(60))); off >= 0 {
			since.Offsets = append(since.Offsets, Pos{part, off})
		}
	}
	p, _, _ := x.cfg.Catalog.Resolve(name)
	j := &Join{Done: func(*Join) {}, Rooms: []Member{{Name: name, Pattern: p, Since: &since}}}
	x.Join(x.l, j)
	x.answer()
	member := &j.Rooms[0]
	if member.TooOld != nil {
		if errors.As(member.TooOld, new(*NotNowError)) { // the shard has heard of no record yet
			x.early++
		} else if !errors.As(member.TooOld, new(*TooOldError)) {
			x.t.Fatal(member.TooOld)
		}
		x.tooOld++
	} else {
		x.resumed++
		x.less += min(lacking, 1)
		want := map[int32][]int64{}
		for _, pos := range x.records[name] {
			if off := since.of(pos.Partition); off == nil || pos.Offset > off.Offset {
				want[pos.Partition] = append(want[pos.Partition], pos.Offset)
			}
		}
		if got := x.got(p, name, member); fmt.Sprint(got) != fmt.Sprint(want) {
			x.t.Fatalf("seed %d, step %d: %s since %v got %v, want %v", x.seed, step, name, since.Offsets, got, want)
		}
	}
	if x.rnd.IntN(3) > 0 {
		x.leave(member.Sub)
	}
}

// got is what a member is sent, by partition: what is read again for it, then what the tape has.
func (x *resuming) got(p *Pattern, name string, member *Member) map[int32][]int64 {
	x.t.Helper()
	got := map[int32][]int64{}
	if how := member.Resume; how.Recall {
		x.recalled++
		for _, pos := range readAgain(x.t, p, name, x.records[name], how) {
			got[pos.Partition] = append(got[pos.Partition], pos.Offset)
		}
	}
	for _, pos := range x.heard(member) {
		got[pos.Partition] = append(got[pos.Partition], pos.Offset)
	}
	return got
}
