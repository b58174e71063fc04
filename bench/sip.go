package bench

// sipOrder has all clients of a worker read slowly for a while.
type sipOrder struct {
	From int64 `json:"from"` // CLOCK_MONOTONIC
	To   int64 `json:"to"`
	Rate int   `json:"rate"` // bytes a second of each client
}

// leastSip is what a slow client waits to be allowed before it reads again, in
// bytes: less would be a system call for a few bytes.
const leastSip = 1024

// sipper has a loop's clients read at most so much a second each. What it leaves in
// the sockets is for the gateway's side to bear.
type sipper struct {
	order sipOrder
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

// SlowReport is about the clients that read slowly, over the whole run.
type SlowReport struct {
	Clients int              `json:"clients"`
	Rate    int              `json:"bytes_per_s"` // of each
	Gone    int              `json:"gone"`
	Frames  int64            `json:"frames"`
	Lost    int64            `json:"lost"` // what they never got, since retention went on without them
	Doubled int64            `json:"doubled"`
	Late    int64            `json:"out_of_order"`
	Invalid int64            `json:"invalid"`
	Breaks  int64            `json:"chain_breaks"` // losses that no notice told of
	Notices map[string]int64 `json:"notices"`
	Closes  map[string]int64 `json:"closes,omitempty"`
}

func newSlowReport(rate int, t *Tally) *SlowReport {
	return &SlowReport{
		Clients: t.Clients, Rate: rate, Gone: t.Gone, Frames: t.Frames, Lost: t.Lost, Doubled: t.Doubled, Late: t.Late,
		Invalid: t.Invalid, Breaks: t.Breaks, Notices: t.Notices, Closes: t.Closes,
	}
}
