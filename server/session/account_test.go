package session

import (
	"strings"
	"testing"

	"tapecast/loop"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// TestRoomsOfUser: a user's rooms are counted over all its connections, and no longer once they
// are left, or their connection is gone.
func TestRoomsOfUser(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.AutoJoin, cfg.Limits.RoomsPerUser = nil, 4 })
	a, b, other := login(t, h, "42"), login(t, h, "42"), login(t, h, "43")
	joins := func(c *fakeConn, rooms, want string) {
		t.Helper()
		got := c.says(`{"method":"subscribe","params":{"rooms":` + rooms + `},"id":1}`)
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	const full = `-32009,"message":"limit reached: too many rooms of this user, over all connections"`
	joins(a, `["trades:A","trades:B","trades:C"]`, `{"room":"trades:C","status":"joined"`)
	joins(b, `["trades:A","trades:B"]`, `{"room":"trades:B","error":{"code":`+full)
	joins(other, `["trades:A","trades:B","trades:C","trades:D"]`, `{"room":"trades:D","status":"joined"`)
	b.under = []string{"prices:A", "prices:B"}
	joins(b, `["prices:*"]`, `the wildcard has 2 rooms, but rooms_per_user is 4`)
	if n := h.limit.Refused[limits.UserRooms].Load(); n != 2 {
		t.Errorf("counted %d", n)
	}
	a.says(`{"method":"unsubscribe","params":["trades:B"],"id":2}`)
	joins(b, `["trades:B"]`, `{"room":"trades:B","status":"joined"`)
	h.closed(a, 1000)
	joins(b, `["trades:C","trades:D"]`, `{"room":"trades:D","status":"joined"`)
	joins(b, `["trades:E"]`, full)
	h.closed(b, 1000)
	if _, rooms := h.limit.Users.Of("42"); rooms != 0 || h.limit.Users.Len() != 1 {
		t.Errorf("%d rooms of %d users are counted", rooms, h.limit.Users.Len())
	}
}

// TestRoomsOfUserThatIsGone: an answer that comes when its connection is gone counts for nobody.
func TestRoomsOfUserThatIsGone(t *testing.T) {
	h := newTestHandler(t, func(cfg *config.Config) { cfg.AutoJoin = nil })
	stays, c := login(t, h, "42"), login(t, h, "42")
	c.hold = true
	c.says(`{"method":"subscribe","params":{"rooms":["trades:A","trades:B"]},"id":1}`)
	if _, rooms := h.limit.Users.Of("42"); rooms != 2 {
		t.Errorf("%d rooms are reserved", rooms)
	}
	h.closed(c, 1006)
	h.release(c, sessionOf(c), failures([]loop.Joined{{Err: loop.ErrAlready}, {Err: loop.ErrAlready}}))
	if got, _ := h.reserve(c, sessionOf(c), 1); got != 1 {
		t.Error("a connection that is gone is refused")
	}
	if conns, rooms := h.limit.Users.Of("42"); conns != 1 || rooms != 0 {
		t.Errorf("%d connections and %d rooms are counted", conns, rooms)
	}
	h.closed(stays, 1000)
}
