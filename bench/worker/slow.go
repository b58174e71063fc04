package worker

import "tapecast/bench/job"

// leastSlowRead is how many bytes a slow client must be allowed before it reads again.
// Less would be a system call for a few bytes.
const leastSlowRead = 1024

// slowReading makes a loop's clients read slowly, each at most so many bytes a second.
// The gateway's side must bear what stays in the sockets.
type slowReading struct {
	order job.Order
	last  int64 // when they last read
}

func (s *slowReading) step(l *loop, now int64) bool {
	switch {
	case now < s.order.From:
		s.last = now
		return true
	case now >= s.order.To:
		l.readLimit = 0
	default:
		s.last = max(s.last, s.order.From)
		may := int((now - s.last) * int64(s.order.Rate) / 1e9)
		if may < leastSlowRead {
			l.readLimit = leastSlowRead // an event that epoll reports must wait
			return true
		}
		l.readLimit = min(may, readSize)
	}
	s.last = now
	for i := range l.clients {
		// Needed also when they read freely again: the edge of a full socket came long ago.
		if c := &l.clients[i]; c.state == stJoined {
			l.receive(i, c, 0)
		}
	}
	return l.readLimit > 0
}
