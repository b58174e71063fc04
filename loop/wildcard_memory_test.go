package loop

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/rooms"
)

// TestWildcardSinceMemory: while Kafka is away a wildcard goes on from its position as long as the
// rooms' tapes have all since, also of rooms that it does not know. Where that cannot be told it is
// answered "not now", and goes on when Kafka is back.
func TestWildcardSinceMemory(t *testing.T) {
	w := newWorld(t, Config{Wildcards: 8, RoomsPerWildcard: 9}, &rooms.Class{Name: "stream", RetainAge: time.Hour})
	w.publish("0", "all")
	w.settle()
	stay := w.talk()
	stay.ask("join wild:*", "join wild:*(")
	w.publish("1", "wild:a", "wild:b", "wild:a", "wild:new") // 1 to 4
	w.publishKey("k", "5", "last:x", "last:y")               // 5 and 6
	w.settle()
	w.setAway(true)
	f := func(say, answer string, more ...string) {
		t.Helper()
		c := w.talk()
		c.ask(say, answer)
		var got []string
		for range more {
			_, text := c.read()
			room, rest, _ := strings.Cut(strings.TrimPrefix(text, `{"room":"`), `"`)
			_, pos, _ := strings.Cut(rest, `"pos":"0:`)
			got = append(got, room+" "+pos[:max(strings.IndexByte(pos, '"'), 0)])
		}
		if slices.Sort(got); !slices.Equal(got, more) {
			t.Errorf("%s: got %q, not %q", say, got, more)
		}
		c.hears("echo", "echo") // and nothing else
		c.conn.Close()
	}
	f("+since wild:*=e1:2",
		`since wild:*({"epoch":"e1","0":2} false true wild:a{"epoch":"e1","0":2} wild:b{"epoch":"e1","0":6} `+
			`wild:new{"epoch":"e1","0":2})`,
		"wild:a 3", "wild:new 4")
	f("+since wild:*=e1:4",
		`since wild:*({"epoch":"e1","0":4} false true wild:a{"epoch":"e1","0":6} wild:b{"epoch":"e1","0":6} `+
			`wild:new{"epoch":"e1","0":6})`)
	f("+since last:*=e1:5",
		`since last:*({"epoch":"e1","0":5} false false last:x{"epoch":"e1","0":6} last:y{"epoch":"e1","0":5})`,
		"last:y 6")
	f("+since wild:*=e1:7", "since wild:*{} not now: the topic is away") // further than this node
	stay.conn.Close()
	w.await(func() bool { return w.engine.Stats().Wildcards == 0 })
	w.settle()
	w.publish("7", "wild:b", "wild:gone") // 7 and 8: nobody is in the second
	w.settle()
	const away = "since wild:*{} not now: the topic is away"
	f("+since wild:*=e1:7", away)
	f("+since wild:*=e1:8", `since wild:*({"epoch":"e1","0":8} false true wild:a{`)
	w.setAway(false)
	f("+since wild:*=e1:6",
		`since wild:*({"epoch":"e1","0":6} false true wild:a{"epoch":"e1","0":8} wild:b{"epoch":"e1","0":6} `+
			`wild:gone{"epoch":"e1","0":6} wild:new{`,
		"wild:b 7", "wild:gone 8")
}
