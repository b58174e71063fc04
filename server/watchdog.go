package server

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"tapecast/rooms/heartbeat"
)

const (
	watchEvery = 100 * time.Millisecond
	// standsAfter is how many looks find a goroutine in one turn until it degrades its service: 1 s.
	standsAfter = 10
	// deadAfter is after how many looks the process no longer counts as alive: ten seconds.
	deadAfter = 100
)

// watchdog finds goroutines that own something and stand still: the acceptor, TLS workers, pollers,
// loops, appenders, readers, the recaller and time look-ups. It judges by its own looks and never
// by a clock. So a process that was stopped, or got no processor time, is healthy when it
// continues.
type watchdog struct {
	log        *slog.Logger
	heartbeats func() []watched

	seen  map[*heartbeat.Counter]*standing // the goroutine's
	found atomic.Pointer[[]stands]         // goroutines that stand still now, read without a lock
}

type watched struct {
	service    string
	heartbeats []*heartbeat.Counter
}

type standing struct {
	turn  uint64
	looks int // of the watchdog, in that turn
}

type stands struct {
	name, service string
	looks         int
}

func (s stands) String() string {
	return fmt.Sprintf("%s has stood still for %.1f s", s.name, (time.Duration(s.looks) * watchEvery).Seconds())
}

func newWatchdog(log *slog.Logger, heartbeats func() []watched) *watchdog {
	return &watchdog{log: log, heartbeats: heartbeats, seen: map[*heartbeat.Counter]*standing{}}
}

func every(ctx context.Context, period time.Duration, f func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

func (w *watchdog) look() {
	var found []stands
	now := make(map[*heartbeat.Counter]*standing, len(w.seen))
	for _, of := range w.heartbeats() {
		for _, b := range of.heartbeats {
			s := w.seen[b]
			if s == nil {
				s = &standing{}
			}
			now[b] = s
			s.look(w.log, b)
			if s.looks >= standsAfter {
				found = append(found, stands{b.Name, of.service, s.looks})
			}
		}
	}
	w.seen = now
	w.found.Store(&found)
}

func (s *standing) look(log *slog.Logger, b *heartbeat.Counter) {
	turn, busy := b.Turn()
	if busy && turn == s.turn {
		s.looks++
		switch s.looks {
		case standsAfter:
			log.Warn("a goroutine stands still", "name", b.Name)
		case deadAfter:
			log.Error("a goroutine has stood still for so long that the process no longer counts as alive", "name",
				b.Name)
		}
		return
	}
	if s.looks >= standsAfter {
		log.Warn("a goroutine that stood still continues", "name", b.Name, "stood",
			(time.Duration(s.looks) * watchEvery).String())
	}
	s.turn, s.looks = turn, 0
}

func (w *watchdog) of(service string) []string {
	return w.those(func(s stands) bool { return s.service == service })
}

// dead returns the goroutines that have stood still for so long that only a restart helps.
func (w *watchdog) dead() []string {
	return w.those(func(s stands) bool { return s.looks >= deadAfter })
}

func (w *watchdog) those(fit func(stands) bool) (out []string) {
	if found := w.found.Load(); found != nil {
		for _, s := range *found {
			if fit(s) {
				out = append(out, s.String())
			}
		}
	}
	return out
}

func (w *watchdog) standing() int {
	if found := w.found.Load(); found != nil {
		return len(*found)
	}
	return 0
}

func (s *Server) heartbeats() []watched {
	all := []watched{{"KafkaConsumer", s.table.Heartbeats()}}
	if e := s.engine.Load(); e != nil {
		all = append(all, watched{"ConnectionManager", e.Heartbeats()})
	}
	if c := s.consumer.Load(); c != nil {
		all = append(all, watched{"KafkaConsumer", c.Heartbeats()})
	}
	return all
}

// degraded returns what degrades a service besides what it reports itself.
func (s *Server) degraded(service string) []string {
	return append(s.watchdog.of(service), s.trouble.of(service)...)
}
