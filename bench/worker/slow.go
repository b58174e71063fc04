package worker

import "tapecast/bench/job"

// leastSlowRead is what a slow client waits to be allowed before it reads again, in
// bytes: less would be a system call for a few bytes.
const leastSlowRead = 1024

// slowReading has a loop's clients read at most so much a second each. What it leaves in
// the sockets is for the gateway's side to bear.
type slowReading struct {
	order job.SlowOrder
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
			l.readLimit = leastSlowRead // whatever epoll tells of must wait
			return true
		}
		l.readLimit = min(may, readSize)
	}
	s.last = now
	for i := range l.clients {
		// Also when they read freely again: that their sockets are full was told before.
		if c := &l.clients[i]; c.state == stJoined {
			l.receive(i, c, 0)
		}
	}
	return l.readLimit > 0
}
