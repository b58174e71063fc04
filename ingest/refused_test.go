package ingest

import (
	"testing"

	"tapecast/ingest/route"
	"tapecast/rooms"
)

// TestRefusalsOverflow: each refused record is counted, even if more come than can wait to be
// logged. The appender never waits.
func TestRefusalsOverflow(t *testing.T) {
	c := &Consumer{cfg: Config{DeadLetter: "dead"}, dead: &deadLetters{}, refusals: make(chan roomless, maxRefusals)}
	p := &rooms.Pattern{Match: "a:*", Feed: rooms.NewFeed("topic")}
	const over = 7
	for i := range int64(maxRefusals + over) {
		c.refused(&rooms.Refused{Pattern: p, Partition: 3, Offset: i,
			Origin: &route.Record{Partition: 3, Offset: i, Key: []byte("k")}})
	}
	c.refused(&rooms.Refused{Pattern: p, Origin: judged})
	if n := c.figures.bad[route.BadFull].Load(); n != maxRefusals+over {
		t.Errorf("%d were counted", n)
	}
	if n := c.dead.lost.Load(); n != over {
		t.Errorf("%d dead letters were lost", n)
	}
	f := <-c.refusals
	if f.topic != "topic" || !f.whole || f.record.Partition != 3 || string(f.record.Key) != "k" || f.bad.What != "a:*" {
		t.Errorf("the first is %+v", f)
	}
}
