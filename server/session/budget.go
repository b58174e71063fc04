package session

import (
	"time"

	"github.com/valyala/fastjson"

	"tapecast/loop"
	"tapecast/server/auth"
	"tapecast/server/auth/revoked"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// The handler's side of the budgets, which are in package limits.

// named returns how many rooms, positions and keys a request names. Its method judges the rest.
func (q *request) named() (n int) {
	if q.params == nil {
		return 0
	}
	if q.params.Type() == fastjson.TypeArray {
		list, _ := q.params.Array()
		return len(list)
	}
	for _, field := range [...]string{"rooms", "keys", "join"} {
		if v := q.get(field); v != nil {
			list, _ := v.Array()
			n += len(list)
		}
	}
	if v := q.get("since"); v != nil {
		if o, err := v.Object(); err == nil {
			n += o.Len()
		}
	}
	return n
}

// cost returns what a request costs before it is answered, on a connection with that many rooms.
func (q *request) cost(rooms int) int64 {
	n := limits.CostMessage + q.size/limits.CostBytes
	switch q.op {
	case opSubscribe, opUnsubscribe:
		n += q.named()
	case opAuthenticate:
		n += q.named()
		if q.get("token") != nil || q.get("certificate") != nil {
			n += config.TokenCost
		}
	case opList:
		n += rooms
	}
	return int64(n)
}

// weight returns how much a request counts while it waits for its rooms.
func (q *request) weight() uint8 {
	n := 1 + (q.size+roomSize*q.named())/waitUnit
	return uint8(min(n, maxWaiting-1)) // beside the join on authentication
}

func (h *Handler) charge(c conn, user string, n int64, now int64) (limits.Verdict, time.Duration) {
	return h.limit.Charge(h.client(c, user), n, n, now)
}

// spend counts the cost of an answer: the rooms in it that the request did not name, and bytes.
func (h *Handler) spend(c conn, user string, rooms, bytes int) {
	h.limit.Spend(h.client(c, user), rooms, bytes, h.elapsed(time.Now()))
}

// wornOut returns how long it takes until tokens from the address are checked again, or 0 if they
// are. A token that is not checked is counted as a refusal.
func (h *Handler) wornOut(c conn) time.Duration {
	wait := h.limit.WornOut(c.Remote().Addr(), h.elapsed(time.Now()))
	if wait > 0 {
		h.overLimit(c, limits.Tokens, "")
	}
	return wait
}

func (h *Handler) badToken(c conn, token string, why error) {
	if is, _ := auth.IsOfCertificate(why); is {
		return
	}
	signed := auth.IsSigned(why) || why == revoked.ErrUser || why == revoked.ErrToken
	h.limit.BadToken(c.Remote().Addr(), token, signed, h.elapsed(time.Now()))
}

// overLimit counts a limit that a connection hit, and logs it once a minute.
func (h *Handler) overLimit(c conn, k limits.Kind, user string) {
	h.limit.Hit(k)
	h.logOnce(c, k, user)
}

func (h *Handler) logOnce(c conn, k limits.Kind, user string) {
	if h.limit.MayLog(c.ID(), k, h.elapsed(time.Now())) {
		h.logLimit(c, k, user)
	}
}

// SnapshotBegins is called before a room's last values are sent. It runs on loops.
func (h *Handler) SnapshotBegins(c *loop.Conn, room string, keys int) error {
	return h.snapshotBegins(c, room, keys)
}

// SnapshotSent counts bytes of a room's last values that were sent. It runs on loops.
func (h *Handler) SnapshotSent(c *loop.Conn, room string, n int64) { h.snapshotSent(c, room, n) }

func (h *Handler) snapshotBegins(c conn, room string, keys int) error {
	user := h.user(c)
	wait := h.limit.SnapshotBegins(h.client(c, user), room, keys, h.elapsed(time.Now()))
	if wait == 0 {
		return nil
	}
	h.overLimit(c, limits.Snapshots, user)
	return &overBudget{"this connection or user was sent many snapshots, or this snapshot a moment ago", wait}
}

func (h *Handler) snapshotSent(c conn, room string, n int64) {
	h.limit.SnapshotSent(h.client(c, h.user(c)), room, n, h.elapsed(time.Now()))
}

// RecallBegins returns how long it takes until messages are read again for a connection, and whether
// they count. It runs on loops.
func (h *Handler) RecallBegins(c *loop.Conn) (wait time.Duration, counted bool) {
	return h.recallBegins(c)
}

// RecallGiven counts bytes of messages that were read again for a connection. It runs on loops.
func (h *Handler) RecallGiven(c *loop.Conn, n int64) { h.recallGiven(c, n) }

func (h *Handler) recallBegins(c conn) (wait time.Duration, counted bool) {
	user := h.user(c)
	wait, counted = h.limit.RecallBegins(h.client(c, user), h.elapsed(time.Now()))
	if wait > 0 {
		h.overLimit(c, limits.RecallBytes, user)
	}
	return wait, counted
}

func (h *Handler) recallGiven(c conn, n int64) {
	h.limit.RecallGiven(h.client(c, h.user(c)), n, h.elapsed(time.Now()))
}

// overBudget means that joining a room would cost more than is left.
type overBudget struct {
	what  string
	retry time.Duration
}

// Error returns what the budget is for.
func (e *overBudget) Error() string { return "rate limited: " + e.what }
