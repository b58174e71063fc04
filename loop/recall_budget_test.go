package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestRecallOfConnection: what is read again for a connection has a budget. A join that comes when it is
// used up is refused for now. The rest of a past that was begun waits, and nothing of it is lost.
func TestRecallOfConnection(t *testing.T) {
	const frames, part = 60, 10
	var w *world
	var given, most, waits atomic.Int64
	w = newWorld(t, Config{
		RecallGiven: func(_ *Conn, n int64) { given.Add(n) },
		RecallBegins: func(*Conn) time.Duration {
			if given.Load() < most.Load() {
				return 0
			}
			waits.Add(1)
			return 10 * time.Millisecond
		},
		Recall: func(r *rooms.Recall) {
			w.mu.Lock()
			list := slices.DeleteFunc(slices.Clone(w.all[r.Room]), func(x rooms.Record) bool {
				return x.Offset <= r.After[0].Offset || x.Offset > r.UpTo[0].Offset
			})
			w.mu.Unlock()
			var upTo []rooms.Pos
			if len(list) > part {
				upTo = []rooms.Pos{{Offset: list[part].Offset - 1}}
				list = list[:part]
			}
			go r.Done(rooms.NewPast(r.Pattern, r.Room, list, r.Last).Share(upTo, nil), nil)
		},
	}, &rooms.Class{Name: "stream", RetainBytes: 4 << 10})
	for i := range frames {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", 1000)), "all")
	}
	c := w.talk()
	if text := c.ask("since all=e1:0", "since all{}"); !strings.Contains(text, "was given many messages") {
		t.Errorf("without a budget: %s", text)
	}
	c.ask("list", "list")
	most.Store(1)
	c.ask("since all=e1:0", `since all{"epoch":"e1","0":0}`)
	at := 1 // the offset of the next message
	next := func(n int) {
		t.Helper()
		for ; n > 0; n, at = n-1, at+1 {
			c.expect(fmt.Sprintf(`{"room":"all","type":"t","pos":"0:%d"`, at))
		}
	}
	next(part)
	was := waits.Load()
	w.await(func() bool { return waits.Load() > was+3 }) // it asks again
	c.ask("still here", "still here")
	most.Store(1 << 40)
	next(frames - 1 - part)
	if n := given.Load(); n < frames*1000 {
		t.Errorf("%d bytes are counted", n)
	}
	w.publish("1", "all")
	next(1)
}
