package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestRequestShapes: the two forms of params, methods in any case, replies that are partly errors,
// and the effect of the same request twice.
func TestRequestShapes(t *testing.T) {
	g, _ := keyed(t, fakeCluster(t), patience, "")
	c := join(t, g, "42")
	autoShape(t, c)
	binanceShape(t, c)
	partlyGood(t, c)

	var ping struct{ Timestamp int64 }
	exact(t, "ping", string(c.call("ping", nil).Result), &ping)
	if ping.Timestamp == 0 {
		t.Error("ping has no timestamp")
	}
	c.mu.Lock()
	c.faults = slices.DeleteFunc(c.faults, func(f string) bool {
		return f == "joined trades, in which it was" || f == "left trades, in which it was not"
	})
	c.mu.Unlock()
	c.check()

	// An invalid position is refused, not ignored: the client relies on it.
	if r := c.call("subscribe",
		map[string]any{"rooms": []string{"trades"}, "since": []string{"trades"}}); r.Error == nil ||
		r.Error.Code != -32602 {
		t.Errorf("since: %s %+v", r.Result, r.Error)
	}
}

func autoShape(t *testing.T, c *client) {
	t.Helper()
	var auto struct {
		GlobalRooms, UserRooms []string
		TotalRooms             int
		Class                  map[string]string
		Chain                  map[string]bool
		Positions              map[string]positions
	}
	exact(t, "auto_subscribed", string(c.notice("auto_subscribed")), &auto)
	if !slices.Equal(auto.GlobalRooms, []string{"trades"}) || !slices.Equal(auto.UserRooms, []string{"orders:42"}) ||
		auto.TotalRooms != 2 || auto.Class["orders:42"] != "private" || !auto.Chain["orders:42"] ||
		auto.Positions["trades"].epoch == "" || len(auto.Positions["trades"].at) != 1 {
		t.Errorf("auto_subscribed is %s", c.notice("auto_subscribed"))
	}
}

// lists demands that a client is in exactly these rooms, by its own question.
func (c *client) lists(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range roomReplies(c.call("list_subscriptions", nil).Result) {
		got = append(got, r.Room)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("in %v, want %v", got, want)
	}
}

// binanceShape: the form of Binance's clients, as they expect it.
func binanceShape(t *testing.T, c *client) {
	t.Helper()
	c.lists(t, "orders:42", "trades")
	if r := c.call("UNSUBSCRIBE", []string{"trades"}); r.Error != nil || string(r.Result) != "null" {
		t.Errorf("UNSUBSCRIBE in Binance's shape: %s %+v", r.Result, r.Error)
	}
	c.lists(t, "orders:42")
	if r := c.call("SUBSCRIBE", []string{"trades"}); r.Error != nil || string(r.Result) != "null" {
		t.Errorf("SUBSCRIBE in Binance's shape: %s %+v", r.Result, r.Error)
	}
	c.lists(t, "orders:42", "trades")
	if r := c.call("SUBSCRIBE", []string{"nothing"}); r.Error == nil {
		t.Errorf("an unknown room in Binance's shape: %s", r.Result)
	}
}

// partlyGood: each room of a request has its own answer.
func partlyGood(t *testing.T, c *client) {
	t.Helper()
	r := c.call("unsubscribe", map[string]any{"rooms": []string{"trades", "orders:42", "nothing"}})
	got := roomReplies(r.Result)
	if len(got) != 3 || got[0].Status != "left" || got[1].Status != "left" || got[2].Error == nil {
		t.Errorf("unsubscribe: %s %+v", r.Result, r.Error)
	}
	r = c.call("subscribe",
		map[string]any{"rooms": []string{"trades", "nothing", "orders:43", "trades"}, "unknown": 1, "snapshot": false})
	got = roomReplies(r.Result)
	if len(got) != 3 || got[0].Status != "joined" || !got[0].Chain || got[0].Class != "stream" ||
		got[0].Positions.epoch == "" ||
		got[1].Error == nil || got[1].Error.Code != -32006 || got[2].Error == nil || got[2].Error.Code != -32007 {
		t.Errorf("subscribe: %s %+v", r.Result, r.Error)
	}
	// Again: it is in already, and stays a member once.
	r = c.call("subscribe", map[string]any{"rooms": []string{"trades"}, "keys": []string{"none"}})
	if got = roomReplies(r.Result); len(got) != 1 || !got[0].Already || got[0].Positions.epoch == "" ||
		strings.Contains(string(r.Result), "keys") {
		t.Errorf("once more: %s %+v", r.Result, r.Error)
	}
	c.lists(t, "trades")
}
