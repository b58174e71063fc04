package ingest

import (
	"errors"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestJudgeOfBoundsNotKnown: librdkafka gives a negative offset of a partition without an answer. A
// good position must not be too old because of that.
func TestJudgeOfBoundsNotKnown(t *testing.T) {
	feed := rooms.NewFeed("orders")
	feed.Open("e", 1)
	f := func(low, high int64, old bool) {
		t.Helper()
		k := &recallTopic{topic: &topic{name: "orders", feed: feed}, epoch: "e", bounds: map[int32]bounds{
			0: {low, high},
		}}
		w := &asked{user: &recallUser{budget: -1}, Recall: &rooms.Recall{
			Epoch: "e", After: []rooms.Pos{{Partition: 0, Offset: 4}}, UpTo: []rooms.Pos{{Partition: 0, Offset: 9}},
		}, from: []int64{5}}
		_, err := k.judge(w, time.Now())
		var tooOld *rooms.TooOldError
		if errors.As(err, &tooOld) != old || !old && low < 0 && !errors.Is(err, errSlow) {
			t.Errorf("from %d to %d: %v", low, high, err)
		}
	}
	f(0, -1001, false)
	f(-1001, 10, false)
	f(-1001, -1001, false)
	f(0, 10, false)
	f(7, 10, true)
	f(0, 3, true)
}

// TestJudgeOfEpochs: a position of another epoch is too old, and the oldest one is the start of
// Kafka's log. A look from before the topic was made again does not count.
func TestJudgeOfEpochs(t *testing.T) {
	feed := rooms.NewFeed("orders")
	feed.Open("e2", 1)
	f := func(of, looked, lost string, low int64, old bool) {
		t.Helper()
		k := &recallTopic{topic: &topic{name: "orders", feed: feed}, epoch: looked, bounds: map[int32]bounds{
			0: {low, 20},
		}}
		w := &asked{user: &recallUser{budget: -1}, Recall: &rooms.Recall{
			Epoch: of, Lost: lost, After: []rooms.Pos{{Partition: 0, Offset: -1}},
			UpTo: []rooms.Pos{{Partition: 0, Offset: 19}},
		}, from: []int64{0}}
		_, err := k.judge(w, time.Now())
		var tooOld *rooms.TooOldError
		if errors.As(err, &tooOld) != old || !old && !errors.Is(err, errSlow) {
			t.Fatalf("of %s, looked at %s: %v", of, looked, err)
		}
		if old && (tooOld.Oldest.Epoch != "e2" || tooOld.Oldest.Offsets[0].Offset != low-1) {
			t.Errorf("of %s: the oldest position is %v", of, tooOld.Oldest)
		}
	}
	f("e1", "e2", "of e1", 0, true)
	f("e1", "e2", "", 7, true)
	f("e1", "e1", "of e1", 0, false)
	f("e2", "e1", "", 0, false)
	f("e2", "e2", "the appender's is e1", 0, false)
	f("e1", "e2", "of e1", -1001, false)
}
