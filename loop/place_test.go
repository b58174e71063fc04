package loop

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"tapecast/rooms/testwait"
)

// TestPlaces: a client that joined before the topic was known is told its positions once they are known,
// however busy the room is, and can resume from them. One that wants no `positions` is not.
func TestPlaces(t *testing.T) {
	w := newWorld(t, Config{})
	f := func(auth, room string, told bool) {
		t.Helper()
		w := newWorld(t, Config{}) // the pings of a quiet room are too late for this test
		c := w.talk()
		c.write(1, auth)
		c.ask("join "+room, "join "+room+"{}")
		place, frames := "", 0
		for n := 0; n < 50 && place == ""; n++ {
			w.publishKey("k", fmt.Sprint(n), room)
			for frames <= n {
				_, text := c.read()
				if !strings.Contains(text, `"method":"positions"`) {
					frames++
					continue
				}
				if place != "" {
					t.Errorf("%s: told again: %s", room, text)
				}
				place = text
				want := fmt.Sprintf(`{"jsonrpc":"2.0","method":"positions","params":{"%s":{"epoch":"e1","0":%d}}}`,
					room, frames-1)
				if text != want {
					t.Errorf("%s: after %d frames it is told %s", room, frames, text)
				}
			}
		}
		if (place != "") != told {
			t.Errorf("%s, %s: it is told %q of its place", auth, room, place)
		}
		k := c.ask("list", "list")
		if !strings.Contains(k, fmt.Sprintf(`{"epoch":"e1","0":%d}`, frames-1)) {
			t.Errorf("after %d frames: %s", frames, k)
		}
	}
	f("auth positions", "all", true)
	f("auth positions", "own:me", true)
	f("auth positions", "last", true)
	f("auth", "all", false)
	w.publish("1", "all")
	c := w.talk() // once the topic is known the reply says it
	c.write(1, "auth positions")
	c.hears("join all", `join all{"epoch":"e1","0":0}`)
	w.publish("2", "all")
	c.expect(`{"room":"all","type":"t","pos":"0:1"`)
}

// TestPlacesOfNoTopic: a room that no topic feeds never has positions, so its members wait for none.
func TestPlacesOfNoTopic(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.talk()
	c.write(1, "auth positions")
	c.hears("join unfed", "join unfed{}")
	waits := func() (n int64) {
		var all atomic.Int64
		w.engine.Each(func(c *Conn) {
			if c.extras != nil {
				all.Add(int64(len(c.extras.members)))
			}
		}, testwait.Patience)
		return all.Load()
	}
	if n := waits(); n != 0 {
		t.Errorf("%d members wait for positions that never come", n)
	}
	c.hears("join all", "join all{}")
	if n := waits(); n != 1 {
		t.Errorf("%d members wait for the positions of a topic", n)
	}
}
