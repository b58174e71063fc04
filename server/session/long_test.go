package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/limits"
)

// TestRoomOverBudget: a room that is over a budget is refused alone, and the client is told when
// to ask again, also where it sent a list.
func TestRoomOverBudget(t *testing.T) {
	h := newTestHandler(t)
	c := login(t, h, "42")
	c.in = nil
	c.refuse = map[string]error{"prices": &overBudget{"many snapshots", 2 * time.Second}}
	const want = `"error":{"code":-32004,"message":"rate limited: many snapshots","data":{"retryAfter":2000}}`
	got := c.says(`{"method":"subscribe","params":{"rooms":["prices","trades"]},"id":1}`)
	if !strings.Contains(got, `{"room":"prices",`+want) ||
		!strings.Contains(got, `{"room":"trades","status":"joined"`) {
		t.Errorf("got %s", got)
	}
	got = c.says(`{"method":"subscribe","params":["prices"],"id":1}`)
	if !strings.Contains(got, `"error":{"code":-32005,`) || !strings.Contains(got, `"data":{"retryAfter":2000}`) {
		t.Errorf("got %s", got)
	}
}

// TestLongMessages: a long message that is over the budget or the pace is not parsed, and
// answered with its id where that is seen at a glance. Garbage is paid for, and nothing twice.
func TestLongMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t)
		c := loginAs(t, h, "42", 1)
		const size = 200_000
		x := `"x":"` + strings.Repeat("x", size)
		f := func(message, want string) {
			t.Helper()
			if got := c.says(message); !strings.Contains(got, want) {
				t.Errorf("got %.200s, want %s", got, want)
			}
		}
		owes := func() int64 {
			return h.limit.Owed(limits.Client{ID: 1}, h.elapsed(time.Now()))
		}
		f(`{"method":"ping","id":8,`+x+`"}`, "timestamp")
		if n := owes(); n < size/limits.CostBytes || n > size/limits.CostBytes+2 {
			t.Errorf("one long ping costs %d", n)
		}
		n := 0
		for ; n < 100 && strings.Contains(c.says(`{"id":7,`+x), "-32700"); n++ {
		}
		if n < 8 || n > 13 {
			t.Errorf("%d messages of garbage were parsed", n)
		}
		f(`{"id":7,`+x, turnedDown("null"))
		f(`{"method":"ping","id":8,`+x+`"}`, turnedDown("null"))
		f(`{"method":"ping",`+x+`", "id": "a"}`, turnedDown(`"a"`))
		if n := h.limit.Refused[limits.Cost].Load(); n != 4 {
			t.Errorf("%d are counted", n)
		}
		testwait.Pass(time.Minute)
		for range 100 {
			f(`{"method":"ping","id":1}`, "timestamp")
		}
		f(`{"method":"ping","id":1}`, `"id":1,"error":{"code":-32004,`)
		f(`{"method":"ping","id":8,`+x+`"}`, turnedDown("null"))
		c.SetTimer(time.Time{})
	})
}

func turnedDown(id string) string { return `"id":` + id + `,"error":{"code":-32004,` }
