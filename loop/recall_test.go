package loop

import (
	"fmt"
	"testing"
)

// TestRecallNotNow: passing trouble joins no room, not even one that has a snapshot to
// give, so that the client keeps its position; with the same position it goes on later.
func TestRecallNotNow(t *testing.T) {
	w := newWorld(t, Config{})
	for i := range 5 {
		w.publish(fmt.Sprint(i), "few:x")
	}
	w.publishKey("a", "5", "last")
	w.setAway(true)
	c := w.talk()
	const away = "not now: the topic is away"
	c.hears("since few:x=e1:2", "since few:x{} "+away)
	c.hears("since last=e1:7", "since last{} "+away) // only the topic can say whether it has that
	c.hears("list", "list")
	w.setAway(false)
	c.hears("since few:x=e1:2", `since few:x{"epoch":"e1","0":2}`, "3", "4")
	w.publishKey("a", "6", "last")
	w.publishKey("a", "7", "last")
	w.publishKey("a", "8", "last")
	c.hears("since last=e1:7", `since last{"epoch":"e1","0":7}`, "8")
}
