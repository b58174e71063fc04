package session

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapecast/rooms/testwait"
	"tapecast/server/config"
	"tapecast/server/limits"
)

// TestKnock: an address may come ten times at once, and then at its pace; all addresses together
// have a pace of their own. A client that is refused does not count, and is told when to come.
func TestKnock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(t, func(cfg *config.Config) {
			cfg.Limits.ConnectsPerAddress, cfg.Limits.ConnectsPerSecond = 0.5, 2
		})
		var log bytes.Buffer
		h.log = slog.New(slog.NewTextHandler(&log, nil))
		f := func(from string, want, retry int) {
			t.Helper()
			v := h.Knock(netip.AddrPortFrom(netip.MustParseAddr(from), 1))
			if v.Status != want || v.RetryAfter != retry {
				t.Errorf("%s: %+v, want %d", from, v, want)
			}
		}
		for range 5 {
			f("2001:db8::1", 0, 0)
		}
		f("2001:db8::2", 429, 2) // of the same /64
		f("2001:db8::3", 429, 2)
		testwait.Pass(2 * time.Second)
		f("2001:db8::3", 0, 0)
		f("2001:db8::3", 429, 2)
		f("::ffff:192.0.2.1", 0, 0)
		for range 4 {
			f("192.0.2.1", 0, 0)
		}
		f("192.0.2.1", 429, 2)
		for i := range 13 {
			f(netip.AddrFrom4([4]byte{192, 0, 3, byte(i)}).String(), 0, 0)
		}
		f("192.0.3.99", 503, 1)
		testwait.Pass(500 * time.Millisecond)
		f("192.0.3.98", 0, 0)
		address, all := h.limit.Refused[limits.AddressConnects].Load(), h.limit.Refused[limits.Connects].Load()
		if address != 4 || all != 1 {
			t.Errorf("counted %d of addresses, %d of all", address, all)
		}
		if n := strings.Count(log.String(), "\n"); n != 3 { // one a minute of an address and limit
			t.Errorf("%d lines: %s", n, log.String())
		}
	})
}

// TestKnockDefault: without a limit nothing is refused or remembered.
func TestKnockDefault(t *testing.T) {
	h := newTestHandler(t)
	for range 20_000 {
		if v := h.Knock(netip.MustParseAddrPort("192.0.2.1:1")); v.Status != 0 {
			t.Fatalf("%+v", v)
		}
	}
	if n := h.limit.Debts(); n != 0 {
		t.Errorf("%d debts", n)
	}
}
