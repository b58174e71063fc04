package loop

// gather cuts from the tapes what the connection's members lack. It begins at
// another member each time, so that a busy room does not starve a quiet one; where few
// bytes may be sent, small rooms come first.
func (s *sender) gather(c *Conn, most int) {
	s.left = most
	s.turn++
	n, first := len(c.members), most < maxVisit
	if first {
		for k := range n {
			if small(&c.members[k]) && !s.gatherMember(c, k) {
				return
			}
		}
	}
	for i := range n {
		k := (s.turn + i) % n
		if first && small(&c.members[k]) {
			continue
		}
		if !s.gatherMember(c, k) {
			return
		}
	}
}

// gatherMember is gather for one member; false: that is all, or the connection is being
// closed, and then nothing that was gathered is sent.
func (s *sender) gatherMember(c *Conn, k int) bool {
	m := &c.members[k]
	if m.Level() {
		return true
	}
	had := len(s.pieces)
	if s.left <= 0 || had >= maxIov/4 {
		s.more = true
		return false
	}
	x := c.extra(m)
	pieces, cut := s.loop.rules.Next(m, x, (*memberClient)(c), s.left, s.pieces)
	if s.pieces = pieces; c.state != stOpen {
		s.pieces, s.runs = pieces[:0], s.runs[:0]
		return false
	}
	if cut.Extra != x {
		c.setExtra(m, cut.Extra)
	}
	s.more = s.more || cut.More
	if n := len(pieces) - had; n > 0 {
		s.runs = append(s.runs, run{member: k, pieces: n, cut: cut})
		for _, p := range pieces[had:] {
			s.left -= len(p.Bytes)
		}
	}
	return true
}
