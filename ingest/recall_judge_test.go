package ingest

import (
	"errors"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestJudgeOfBoundsNotKnown: where librdkafka could not ask a partition it gives a negative
// offset, and a good position is not too old for that.
func TestJudgeOfBoundsNotKnown(t *testing.T) {
	f := func(low, high int64, old bool) {
		t.Helper()
		k := &recallTopic{topic: &topic{name: "orders"}, epoch: "e", bounds: logBounds{
			epoch: "e", low: map[int32]int64{0: low}, high: map[int32]int64{0: high},
		}}
		w := &asked{Recall: &rooms.Recall{
			Epoch: "e", After: []rooms.Pos{{Partition: 0, Offset: 4}}, UpTo: []rooms.Pos{{Partition: 0, Offset: 9}},
		}, from: []int64{5}}
		_, err := k.judge(w, -1, time.Now())
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
