package worker

import "tapecast/bench/job"

// leastSip is what a slow client waits to be allowed before it reads again, in
// bytes: less would be a system call for a few bytes.
const leastSip = 1024

// sipper has a loop's clients read at most so much a second each. What it leaves in
// the sockets is for the gateway's side to bear.
type sipper struct {
	order job.SipOrder
	last  int64 // when they last read
}

func (s *sipper) step(l *loop, now int64) bool {
	switch {
	case now < s.order.From:
		s.last = now
		return true
	case now >= s.order.To:
		l.sip = 0
	default:
		s.last = max(s.last, s.order.From)
		may := int((now - s.last) * int64(s.order.Rate) / 1e9)
		if may < leastSip {
			l.sip = leastSip // whatever epoll tells of must wait
			return true
		}
		l.sip = min(may, readSize)
	}
	s.last = now
	for i := range l.clients {
		// Also when they read freely again: that their sockets are full was told before.
		if c := &l.clients[i]; c.state == stJoined {
			l.receive(i, c, 0)
		}
	}
	return l.sip > 0
}
