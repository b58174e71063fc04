package e2e

import (
	"bytes"
	"fmt"
	"testing"
)

const lagConfig = `
server: {listen: "127.0.0.1:0", drain: 3s, send_buffer: 16KiB, notsent_lowat: 16KiB, ping_every: 1s}
classes:
  skipping: {lag: skip, retain: {bytes: 1MiB, age: 1m}}
  closing: {lag: close, retain: {bytes: 1MiB, age: 1m}}
rooms:
  - {match: "skips", class: skipping}
  - {match: "closes", class: closing}
auto_join: []
ingest:
  routes:
    - {topic: flood, rooms: [skips, closes], type: tick}
`

// TestMembersThatLag: retention overtakes members that do not read. One class skips, and a gap
// notice says what was lost. The other closes with 4208 and the room's name. Members that read
// are not disturbed.
func TestMembersThatLag(t *testing.T) {
	besideOthers(t)
	k := fakeCluster(t)
	k.topic(t, "flood", 2)
	g := start(t, config(k, lagConfig))
	open := func(room string) *client {
		c := dial(t, g, dialing{query: "?token=" + g.token(room)})
		if r := roomReplies(c.call("subscribe", map[string]any{"rooms": []string{room}}).Result); len(r) != 1 ||
			r[0].Error != nil {
			t.Fatalf("%s: %+v", room, r)
		}
		return c
	}
	reads, skips, closes := open("skips"), open("skips"), open("closes")
	skips.reading.Lock()
	closes.reading.Lock()

	// More than tapes and the sockets' buffers hold together.
	w := k.producer(t)
	pad := bytes.Repeat([]byte("x"), 4000)
	const n = 4000
	for i := range n {
		w.send("flood", int32(i%2), nil, fmt.Appendf(nil, `{"i":%d,"pad":"%s"}`, i, pad))
		if i%100 == 99 {
			w.flush() // the member that reads keeps up
			reads.awaitFor(patience, "the flood", func() bool { return len(reads.rooms["skips"].frames) == i+1 })
		}
	}
	w.flush()
	reads.await("all", func() bool { return len(reads.rooms["skips"].frames) == n })
	if reads.rooms["skips"].gaps != 0 {
		t.Error("one that reads got a gap")
	}
	reads.check()

	closes.reading.Unlock()
	if code := closes.awaitClose(patience); code != 4208 || closes.reason != "closes" {
		// A frame that was half sent to a member that reads too late may end in a reset.
		if code != 1006 {
			t.Errorf("closed with %d %q, want 4208 and the room", code, closes.reason)
		}
	}
	skips.reading.Unlock()
	skips.await("a gap and the last frames", func() bool {
		r := skips.rooms["skips"]
		return r.gaps > 0 && len(r.frames) > 0 && r.last[0]+r.last[1] == n-2
	})
	skips.check()
	if r := skips.rooms["skips"]; len(r.frames) >= n {
		t.Errorf("a member that lagged got all %d frames", len(r.frames))
	}
	if g.metric("tapecast_closes_total", `code="4208"`) == 0 {
		t.Error("the close is not counted")
	}
	// A quiet room has its positions with the ping.
	skips.awaitFor(patience, "positions", func() bool {
		for _, n := range skips.notices {
			if n.Method == "positions" && bytes.Contains(n.Params, []byte(`"skips"`)) {
				return true
			}
		}
		return false
	})
	skips.check()
}
