package loop

import (
	"testing"
)

// TestAlready: a room that the client is in is answered as the membership stands, with the
// keys and the rate that hold, and nothing that this request wanted of it; so a client that
// has lost a reply learns where it is.
func TestAlready(t *testing.T) {
	w := newWorld(t, Config{Wildcards: 2})
	w.publish("0", "all", "wild:a", "wild:b") // 0, 1, 2: none of them kept
	c := w.talk()
	const at = `{"epoch":"e1","0":2}`
	c.hears("keys all=k,side", "keys all"+at+" side"+at)
	c.hears("rate all=5,side=5", "rate all"+at+" already [k] 0s side"+at+" already")
	c.hears("since all=e0:1", "since all"+at+" already [k] 0s")
	w.publishKey("j", `"j"`, "all")
	w.publishKey("k", `"k"`, "all")
	c.expect(`{"room":"all"`)
	w.publishKey("j", `"side"`, "side")
	c.expect(`{"room":"side"`)
	c.hears("join all", `join all{"epoch":"e1","0":5} already [k] 0s`)
	c.hears("leave all,side", `leave all{"epoch":"e1","0":5} side{"epoch":"e1","0":5}`)

	c.hears("rate own:a=4", `rate own:a{"epoch":"e1","0":5}`)
	c.hears("join own:a", `join own:a{"epoch":"e1","0":5} already [] 250ms`)

	// A wildcard is answered with its rooms as they stand.
	stay := w.talk("wild:a", "wild:b")
	w.publish("1", "wild:a", "wild:b")
	stay.read()
	stay.read()
	c.hears("join wild:*", `join wild:*(false true wild:a{"epoch":"e1","0":7} wild:b{"epoch":"e1","0":7})`)
	c.hears("join wild:*,wild:b",
		`join wild:*(false true already wild:a{"epoch":"e1","0":7} wild:b{"epoch":"e1","0":7}) wild:b{"epoch":"e1",`+
			`"0":7} already`)
	if n := w.engine.Stats().Members; n != 5 {
		t.Errorf("%d members", n)
	}
	c.hears("leave wild:*", `leave wild:*(false true wild:a{"epoch":"e1","0":7} wild:b{"epoch":"e1","0":7})`)
}
