package worker

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
)

// incident is something that happens to a loop's clients while messages flow. It
// belongs to the loop, and is done in steps between two polls.
type incident interface {
	// step does what is due. It reports whether anything is left to do.
	step(l *loop, now int64) bool
}

type storm struct {
	order   job.Order
	dropped bool
	waiting []comeback // in the order in which they are due
	away    int        // clients that were dropped and are not back yet
	out     *job.StormTally
}

// comeback is when a client dials, and when its first attempt was due.
type comeback struct {
	at, due int64
	client  int
}

// retryAfter is what a client waits after a refused attempt. Half of it is random.
const retryAfter = 500 * time.Millisecond

// dialsPerStep bounds the dials between two looks at the sockets: about ten milliseconds.
const dialsPerStep = 256

// newStorm prepares a storm: tokens are signed before the clients wait for them.
func newStorm(l *loop, o job.Order) (*storm, error) {
	s := &storm{order: o, out: job.NewStormTally()}
	for i := range l.clients {
		var err error
		if l.clients[i].token, err = l.sign.Sign(job.UserName(l.job.First + i)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *storm) step(l *loop, now int64) bool {
	switch {
	case now < s.order.From:
		return true
	case !s.dropped:
		s.drop(l)
	case now > s.order.To:
		return false
	}
	for range dialsPerStep {
		if len(s.waiting) == 0 || s.waiting[0].at > l.clock.Now() {
			break
		}
		c := s.waiting[0]
		s.waiting = s.waiting[1:]
		if err := l.dial(c.client); err != nil {
			l.tell("a storm: " + err.Error())
			return false
		}
		if c.at == c.due { // the first attempt
			s.out.Late.Record(l.clients[c.client].dialed - c.due)
		}
		l.clients[c.client].dialed = c.due
	}
	return s.away > 0
}

// drop ends all connections, without a close frame.
func (s *storm) drop(l *loop) {
	s.dropped = true
	began := l.clock.Now()
	s.out.At = s.order.From
	for i := range l.clients {
		c := &l.clients[i]
		if c.state != stJoined {
			continue
		}
		if s.order.Reset {
			// Without the option the kernel sends a FIN.
			_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		_ = unix.Close(int(c.fd))
		c.fd, c.state, c.tail, c.wire = -1, stNew, nil, nil
		l.joined--
		due := began
		if s.order.Jitter > 0 {
			due += rand.Int64N(int64(s.order.Jitter))
		}
		s.waiting = append(s.waiting, comeback{due, due, i})
	}
	s.away = len(s.waiting)
	s.out.Clients = s.away
	slices.SortFunc(s.waiting, func(a, b comeback) int { return cmp.Compare(a.at, b.at) })
}

// failed makes a client that was not let in try again.
func (s *storm) failed(l *loop, i int, c *client, why string) {
	s.out.Retries++
	s.out.Refused[why]++
	due := c.dialed
	_ = unix.Close(int(c.fd)) // nothing was joined that could be lost
	c.fd, c.state, c.tail, c.wire, c.token = -1, stNew, nil, nil, ""
	l.dialing--
	at := l.clock.Now() + int64(retryAfter)/2 + rand.Int64N(int64(retryAfter)/2)
	k, _ := slices.BinarySearchFunc(s.waiting, at, func(c comeback, at int64) int { return cmp.Compare(c.at, at) })
	s.waiting = slices.Insert(s.waiting, k, comeback{at, due, i})
}

// back counts client i, back in its rooms. Unless it resumed, it is not owed what was due before.
func (s *storm) back(l *loop, i int, now int64) {
	s.away--
	s.out.Back++
	s.out.Last = max(s.out.Last, now)
	s.out.Handshake.Record(now - l.clients[i].dialed)
	if !s.order.Resume {
		l.reader.returned(i, now)
	}
}
