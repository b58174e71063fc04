package logging

import (
	"log/slog"
	"net/netip"
	"testing"
)

// TestSecurityLogSamples: an address has five lines a second of a kind, all together
// have a bound, and the next line says how many had none.
func TestSecurityLogSamples(t *testing.T) {
	s := &Security{seen: map[securityKey]*securityPace{}}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	f := func(kind string, from netip.Addr, second int64, n, want, wantSpared int) {
		t.Helper()
		lines, spared := 0, 0
		for range n {
			m, ok := s.take(securityKey{kind, securityAddress(from)}, second)
			if ok {
				lines++
			}
			spared += m
		}
		if lines != want || spared != wantSpared {
			t.Errorf("%d lines that tell of %d others, want %d and %d", lines, spared, want, wantSpared)
		}
	}
	f("x", a, 1, 100, securityLines, 0)
	f("y", a, 1, 1, 1, 0)
	f("x", b, 1, 100, securityLines, 0)
	f("x", netip.MustParseAddr("2001:db8::2"), 1, 1, 0, 0) // the same host's network
	f("x", a, 2, 1, 1, 95)
	f("x", b, 2, 1, 1, 96)
	lines := 0
	for i := range 3 * securityKeys {
		if _, ok := s.take(securityKey{"x",
			netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}, 3); ok {
			lines++
		}
	}
	if lines != securityAll || len(s.seen) > securityKeys {
		t.Errorf("%d lines in a second, and %d addresses are remembered", lines, len(s.seen))
	}
}

// A security log that is not there, or is off, takes events and writes nothing.
func TestSecurityLogOff(t *testing.T) {
	var none *Security
	none.Note("x", netip.Addr{}, slog.String("a", "b"))
	off, err := OpenSecurity("", slog.New(slog.DiscardHandler))
	if err != nil || off.Enabled() {
		t.Errorf("a log that nobody asked for: %v", err)
	}
	off.Note("x", netip.Addr{})
}
