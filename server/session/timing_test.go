package session

import (
	"fmt"
	"testing"
	"time"

	"tapecast/loop"
	"tapecast/loop/upgrade"
	"tapecast/rooms"
	"tapecast/server/config"
)

// BenchmarkHandshake is the server's share of it: token, session, seven rooms,
// and both messages.
func BenchmarkHandshake(b *testing.B) {
	h := newTestHandler(b)
	r := &upgrade.Request{Token: tokenOf(b, "42", time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		c := newFakeConn(h)
		h.open(c, r)
		if len(c.out) != 2 {
			b.Fatalf("got %q", c.out)
		}
		c.SetTimer(time.Time{})
		h.closed(c, 1000)
	}
}

// BenchmarkAutoSubscribed is the notice of seven rooms that are level, on a topic of as
// many partitions.
func BenchmarkAutoSubscribed(b *testing.B) {
	for _, partitions := range []int32{1, 6, 64} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			feed := rooms.NewFeed("t")
			pattern := &rooms.Pattern{Match: "orders:{owner}",
				Class: &rooms.Class{Name: "private", Owner: "{sub}"}, Feed: feed}
			catalog, err := rooms.NewCatalog([]*rooms.Pattern{pattern})
			if err != nil {
				b.Fatal(err)
			}
			table, err := rooms.New(rooms.Config{Catalog: catalog, Feeds: []*rooms.Feed{feed}})
			if err != nil {
				b.Fatal(err)
			}
			table.Start()
			defer table.Stop()
			feed.Open("k3x9", partitions)
			batch := table.NewBatch()
			for part := range partitions {
				batch.Progress(feed, part, 1_000_000+int64(part))
			}
			if err := batch.Send(b.Context()); err != nil {
				b.Fatal(err)
			}
			a, done := &asking{}, make(chan struct{})
			j := &rooms.Join{Done: func(*rooms.Join) { close(done) }}
			for i := range 7 {
				name := fmt.Sprintf("orders:%d", i)
				a.names = append(a.names, name)
				a.refs = append(a.refs, loop.RoomRef{Name: name, Pattern: pattern})
				j.Rooms = append(j.Rooms, rooms.Member{Name: name, Pattern: pattern})
			}
			table.Join(table.Listen(func([]*rooms.Sub) {}), j)
			<-done
			var joined []loop.Joined
			for _, s := range j.Rooms {
				joined = append(joined, loop.Joined{Name: s.Name, Class: "private", Positions: s.Positions})
			}
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(len(a.appendAutoSubscribed(make([]byte, 0, autoSubscribedSize(joined)), joined))))
			}
		})
	}
}

// BenchmarkRequest is one subscription to a room by an authenticated client.
func BenchmarkRequest(b *testing.B) {
	h := newTestHandler(b, func(cfg *config.Config) { cfg.Limits.MessagesPerSecond = 0 })
	c := newFakeConn(h)
	h.open(c, &upgrade.Request{Token: tokenOf(b, "42", time.Hour)})
	run := func(text string) {
		p := []byte(text)
		b.Run(text[:20], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.message(c, 1, p)
				c.out = c.out[:0]
			}
		})
	}
	run(`{"method":"ping","id":1}`)
	run(`{"method":"subscribe","params":{"rooms":["prices:BTCUSDT"]},"id":1}`)
}
