package session

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"tapecast/loop/upgrade"
	"tapecast/server/limits"
)

// Knock refuses a client's request if too many clients come from its address, or come at all. It
// runs on pollers, before the client is counted as one (loop.Config).
func (h *Handler) Knock(from netip.AddrPort) upgrade.Verdict {
	now := h.elapsed(time.Now())
	k, wait := h.limit.Connects(from.Addr(), now)
	if wait == 0 {
		return upgrade.Verdict{}
	}
	if h.limit.Hit(k); h.limit.MayLogOf(from.Addr(), k, now) {
		h.log.Warn("limit of connects reached", "limit", k.String(), "remote", from)
		h.security.Note("limit reached", from.Addr(), slog.Any("remote", from), slog.String("why", k.String()))
	}
	v := upgrade.Verdict{
		Status: http.StatusServiceUnavailable, Body: "too many clients connect at once; try again later\n",
		RetryAfter: seconds(wait),
	}
	if k == limits.AddressConnects {
		v.Status, v.Body = http.StatusTooManyRequests, "too many connects of this address; try again later\n"
	}
	return v
}

// seconds returns a time in seconds, rounded up, as Retry-After has it.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
