package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tapecast/rooms/heartbeat"
)

// TestWatchdog: what stays in one busy turn for ten looks of the watchdog is named,
// after a hundred the process is dead, and both end with the turn. What is idle, or
// goes on, is well.
func TestWatchdog(t *testing.T) {
	var log notes
	stuck, idle, goes := &heartbeat.Counter{Name: "loop 0"}, &heartbeat.Counter{Name: "reader 0"},
		&heartbeat.Counter{Name: "loop 1"}
	w := newWatchdog(log.logger(), func() []watched {
		return []watched{{"A", []*heartbeat.Counter{stuck, goes}}, {"B", []*heartbeat.Counter{idle}}}
	})
	looks := func(n int) {
		for range n {
			goes.Begin() // a loop that is never idle, and never stands
			w.look()
		}
	}
	stuck.Begin()
	looks(standsAfter)
	if w.of("A") != nil {
		t.Errorf("after %d looks: %q", standsAfter, w.of("A"))
	}
	looks(1)
	if got := w.of("A"); !slices.Equal(got, []string{"loop 0 has stood still for 1.0 s"}) || w.of("B") != nil ||
		w.dead() != nil || w.standing() != 1 {
		t.Errorf("after a second: %q %q %q", got, w.of("B"), w.dead())
	}
	looks(deadAfter - standsAfter)
	if got := w.dead(); !slices.Equal(got, []string{"loop 0 has stood still for 10.0 s"}) {
		t.Errorf("after ten seconds: %q", got)
	}
	stuck.End()
	looks(1)
	if w.of("A") != nil || w.dead() != nil || w.standing() != 0 {
		t.Errorf("when it went on: %q %q", w.of("A"), w.dead())
	}
	if len(log.lines) != 3 || !strings.Contains(log.lines[2], `"stood":"10s"`) {
		t.Errorf("logged %q", log.lines)
	}
}

func TestLately(t *testing.T) {
	var l lately
	now := time.Now()
	f := func(failed uint64, later time.Duration, want bool) {
		t.Helper()
		now = now.Add(later)
		if got := l.grew(failed, now); got != want {
			t.Errorf("%d failed: %v, want %v", failed, got, want)
		}
	}
	f(0, 0, false)
	f(3, time.Second, true)
	f(3, latelyFor-time.Second, true)
	f(3, 2*time.Second, false)
	f(4, time.Second, true)
}
