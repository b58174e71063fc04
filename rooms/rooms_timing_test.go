package rooms

import (
	"fmt"
	"testing"
	"time"

	"tapecast/rooms/wire"
)

// BenchmarkAppend is what one record of 128 B costs its appender, batch and
// retention included, in batches of 256. Kept is what it takes on the tape:
// chunks and index.
func BenchmarkAppend(b *testing.B) {
	value := make([]byte, 128)
	for i := range value {
		value[i] = '0' + byte(i%10)
	}
	f := func(name, match string, k *Class, bare bool, room func(i int) string) {
		b.Run(name, func(b *testing.B) {
			feed := newOpenFeed(1)
			p := &Pattern{Match: match, Class: k, Feed: feed, Bare: bare}
			c, err := NewCatalog([]*Pattern{p})
			if err != nil {
				b.Fatal(err)
			}
			t, err := New(Config{Catalog: c, Feeds: []*Feed{feed}, Shards: 1})
			if err != nil {
				b.Fatal(err)
			}
			s, batch := t.shards[0], t.NewBatch()
			names := make([][]byte, 1024)
			for i := range names {
				names[i] = []byte(room(i))
			}
			rec := Record{Pattern: p, Type: "trade_update", HasKey: true, Key: []byte("BTCUSDT"),
				Time: 1699123456789, Value: value}
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for i := 0; b.Loop(); i++ {
				rec.Room, rec.Offset = names[i%len(names)], int64(i)
				batch.Add(&rec)
				if batch.Len() == 256 {
					batch.Progress(feed, 0, rec.Offset)
					s.append(batch.parts[0])
					batch.parts[0].recycle()
					batch.parts[0], batch.n = nil, 0
					if i%8192 < 256 { // at a million a second about as often as in life
						s.now += 8
						s.sweep()
					}
				}
			}
			frames := int64(0)
			for at := range s.rooms.buckets {
				s.rooms.each(at, func(r *Room) { frames += int64(r.Head() - r.Tail()) })
			}
			b.ReportMetric(float64(t.Stats().TapeBytes)/float64(max(frames, 1)), "kept-B/op")
		})
	}
	kept := &Class{Name: "kept", Keep: true}
	f("envelope", "trades", kept, false, func(int) string { return "trades" })
	f("bare", "trades", kept, true, func(int) string { return "trades" })
	f("rooms", "trades:*", kept, false, func(i int) string { return fmt.Sprintf("trades:%d", i) })
	f("private", "orders:{owner}", &Class{Name: "own", Owner: "{sub}", RetainAge: 30 * time.Second}, false,
		func(i int) string { return fmt.Sprintf("orders:%d", i) })
}

// BenchmarkCut is what one visit to a member costs that lacks so many frames of
// some 200 B, beside the send.
func BenchmarkCut(b *testing.B) {
	f := func(name string, k *Class, lack uint64) {
		b.Run(fmt.Sprint(name, "/", lack), func(b *testing.B) {
			var j *Tape
			if k.Private() {
				j = newTape()
			}
			r := lone(k, j)
			for i := range int64(10_000) {
				r.write(wire.OpText, make([]byte, 200), nil, nil, 0, i, 0, 0)
			}
			r.publish()
			pieces := make([]Piece, 0, maxPieces)
			b.ReportAllocs()
			for b.Loop() {
				next, p, lagged := r.Cut(r.Head()-lack, 128<<10, pieces[:0])
				if lagged || next == r.Head()-lack && lack > 0 || len(p) == 0 && lack > 0 {
					b.Fatal("nothing was cut")
				}
			}
		})
	}
	for _, lack := range []uint64{0, 1, 100, 5000} {
		f("tape", &Class{}, lack)
	}
	for _, lack := range []uint64{1, 100} {
		f("journal", private, lack)
	}
}

// BenchmarkJoin is what joining and leaving seven rooms costs an appender and
// the caller, for a new user and for one whose rooms exist.
func BenchmarkJoin(b *testing.B) {
	f := func(name string, partitions int32, user func(i int) string) {
		b.Run(name, func(b *testing.B) {
			feed := newOpenFeed(partitions)
			global, own := &Class{Name: "g"}, &Class{Name: "own", Owner: "{sub}"}
			patterns := []*Pattern{
				{Match: "prices", Class: global, Feed: feed}, {Match: "trades", Class: global, Feed: feed},
				{Match: "system_alerts", Class: global, Feed: feed},
				{Match: "user:{owner}", Class: own, Feed: feed}, {Match: "portfolio:{owner}", Class: own, Feed: feed},
				{Match: "orders:{owner}", Class: own, Feed: feed},
				{Match: "notifications:{owner}", Class: own, Feed: feed},
			}
			m := newManual(b, Config{Shards: 2}, patterns...)
			for part := range partitions {
				m.batch.Progress(feed, part, 1000)
			}
			m.send()
			l := m.listen()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				j := &Join{Rooms: make([]Member, 7), Done: func(*Join) {}}
				id := user(i)
				for k, p := range patterns {
					j.Rooms[k].Name, j.Rooms[k].Pattern = p.Match, p
					if !p.Literal() {
						j.Rooms[k].Name = p.Prefix() + id
					}
				}
				m.Join(l, j)
				m.answer()
				for _, s := range j.Rooms {
					if s.Err != nil || s.Positions.Epoch == "" {
						b.Fatalf("%s: %v at %v", s.Name, s.Err, s.Positions)
					}
					m.Leave(s.Sub)
				}
				m.answer()
				if i%10_000 == 9999 {
					for _, s := range m.shards {
						for range sweepSteps {
							s.sweep()
						}
					}
				}
			}
		})
	}
	f("new", 3, func(i int) string { return fmt.Sprint("u", i) })
	f("known", 3, func(i int) string { return fmt.Sprint("u", i%100) })
	f("new of 64", 64, func(i int) string { return fmt.Sprint("u", i) })
}

// BenchmarkPositionsAt is what `positions`, `list_subscriptions` and a leave
// ask of each room.
func BenchmarkPositionsAt(b *testing.B) {
	for _, lack := range []uint64{0, 10, 1000} {
		b.Run(fmt.Sprint(lack), func(b *testing.B) {
			feed := newOpenFeed(3)
			m := newManual(b, Config{}, &Pattern{Match: "a", Class: stream, Feed: feed})
			r := m.join(m.listen(), "a")[0].Sub.Room()
			for i := range int64(3000) {
				m.add("a", int32(i%3), i, "1")
				m.batch.Progress(feed, int32(i%3), i)
			}
			m.send()
			b.ReportAllocs()
			for b.Loop() {
				if p := m.PositionsAt(r, r.Head()-lack); p.Epoch == "" {
					b.Fatal("no position is known")
				}
			}
		})
	}
}
