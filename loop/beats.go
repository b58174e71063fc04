package loop

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/rooms/heartbeat"
)

// Beats are the heartbeats of the loops and the pollers. A poller's turn is one
// call of onRead.
func (e *Engine) Beats() []*heartbeat.Beat {
	out := make([]*heartbeat.Beat, 0, len(e.loops)+len(e.pollers))
	for _, l := range e.loops {
		out = append(out, &l.turns)
	}
	for i := range e.pollers {
		out = append(out, &e.pollers[i])
	}
	return out
}

func newPollerBeats(n int) []heartbeat.Beat {
	beats := make([]heartbeat.Beat, n)
	for i := range beats {
		beats[i].Name = fmt.Sprintf("poller %d", i)
	}
	return beats
}

// Stand has the first loop stand for d. It is for tests of what watches the beats.
func (e *Engine) Stand(d time.Duration) {
	e.loops[0].post(event{kind: evDo, arg: func(*Loop) { time.Sleep(d) }})
}

// StandPoller has some poller stand for d. It is for tests of what watches the
// beats.
func (e *Engine) StandPoller(d time.Duration) error {
	fds, err := e.probePoller(d)
	for _, fd := range fds {
		unix.Close(fd)
	}
	return err
}
