package loop

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// TestWalksAreCounted: before a room's last values are sent somebody is asked, and told of
// what was sent of them, also where the member leaves in the middle; who is refused has no
// member.
func TestWalksAreCounted(t *testing.T) {
	var begun, sent atomic.Int64
	var refuse atomic.Bool
	w := newWorld(t, Config{
		SnapshotBegins: func(_ *Conn, room string, keys int) error {
			if refuse.Load() {
				return errors.New("later")
			}
			begun.Add(int64(keys))
			return nil
		},
		SnapshotSent: func(_ *Conn, room string, n int64) { sent.Add(n) },
	})
	const keys = 2000
	value := fmt.Sprintf("%q", strings.Repeat("x", 1000))
	for i := range keys {
		w.publishKey(fmt.Sprint(i), value, "last")
	}
	w.settle()
	c := w.talk()
	got := 0
	for c.ask("snap last", "snap last"); ; {
		if _, text := c.read(); strings.Contains(text, "snapshot_end") {
			break
		} else if strings.HasPrefix(text, `{"room"`) {
			got += len(text) + 4 // the frame's header
		}
	}
	w.await(func() bool { return sent.Load() == int64(got) })
	if begun.Load() != keys {
		t.Errorf("asked about %d keys", begun.Load())
	}
	c.ask("leave last", "leave last")

	half := w.talk()
	before := sent.Load()
	half.ask("snap last", "snap last")
	half.expect(`{"jsonrpc":"2.0","method":"snapshot_begin"`)
	half.expect(`{"room":"last"`)
	half.conn.Close()
	w.await(func() bool { return w.engine.Stats().Members == 0 && sent.Load() > before })

	refuse.Store(true)
	if got := c.ask("snap last", "snap last"); !strings.HasSuffix(got, " later") {
		t.Errorf("got %q", got)
	}
	c.ask("join last", "join last") // without a snapshot nobody is asked
	if n := w.engine.Stats().Members; n > 1 {
		t.Errorf("%d members", n)
	}
}
