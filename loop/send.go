package loop

import (
	"golang.org/x/sys/unix"

	"tapecast/loop/member"
	"tapecast/rooms"
)

const (
	// maxVisit is the most bytes that one visit sends to a member. With more, the next member only
	// waits longer.
	maxVisit = 128 << 10
	// maxUrgent is the same for a visit because of a private message. Others wait after it, and
	// what a member has to catch up with is left to another visit. It takes about 15 µs. With 128
	// KB one private message in a hundred waited 50 ms in a storm.
	maxUrgent = 16 << 10
	// maxIov bounds one gathered send: the kernel allows 1024.
	maxIov = 512
	// maxReplies is how many bytes of replies may wait for a client that asks and does not read.
	maxReplies = 64 << 10
)

// sender sends what connections lack, with one gathered send for each visit. It holds a loop's
// scratch for one send, and the connections whose sockets did not take everything.
type sender struct {
	loop    *Loop
	blocked map[uint64]*Conn // by id: connections that wait for writability

	iov    [maxIov]unix.Iovec
	n      int // iovecs
	total  int // bytes in them
	pieces []rooms.Piece
	runs   []run
	events rooms.Events // of members that read those
	mark   rooms.Mark
	left   int    // bytes that may still be gathered
	more   bool   // a member lacks more than was gathered
	visits int    // so far: where the next one begins
	plain  []byte // one record of plaintext, with TLS
}

// run says that the next pieces belong to one member.
type run struct {
	member, pieces int
	cut            member.Cut
}

func (s *sender) add(b []byte) {
	if len(b) == 0 {
		return
	}
	s.iov[s.n].Base = &b[0]
	s.iov[s.n].SetLen(len(b))
	s.n++
	s.total += len(b)
}

func (s *sender) reset() {
	clear(s.iov[:s.n]) // pointers would keep chunks in memory
	clear(s.pieces)
	s.n, s.total, s.more = 0, 0, false
	s.pieces, s.runs = s.pieces[:0], s.runs[:0]
	s.events.Reset()
}

// flush sends all that the connection lacks, up to maxVisit and as far as the kernel takes it. What
// waits in its outbox and its rooms' frames, straight from the tapes, go in one system call.
func (s *sender) flush(c *Conn) { s.visit(c, maxVisit) }

// visit is flush with at most that many bytes of frames, or one frame.
func (s *sender) visit(c *Conn, most int) {
	if c.state == stGone || c.is(fBlocked) || c.secure != nil && !s.sendRest(c) {
		return
	}
	if c.state == stNew || c.holds() {
		return
	}
	if c.state == stOpen && !c.is(fHeld|fResting) {
		if c.is(fMetered) {
			most = s.loop.metered(c, most)
		}
		if most > 0 {
			s.gather(c, most)
		}
	}
	if o := c.out; o != nil {
		s.front(o)
	}
	for i := range s.pieces {
		s.add(s.pieces[i].Bytes)
	}
	if c.out != nil {
		s.add(c.out.close)
	}
	if s.n > 0 {
		s.push(c)
	}
	more := s.more
	s.reset()
	switch {
	case c.is(fBlocked) || c.state != stOpen:
	case more:
		s.loop.ready.add(c)
	case !c.is(fResting):
		c.flags &^= fBehind
	}
}

// holds reports whether nothing was sent yet and rooms are being joined. The answer to the upgrade
// and the reply to the join then go out in one send.
func (c *Conn) holds() bool {
	return !c.is(fSent) && c.state == stOpen && c.side != nil && c.side.joining != nil
}

func (s *sender) front(o *outbox) {
	s.add(o.rest)
	s.add(o.pong)
	s.add(o.ping)
	s.add(o.replies)
}

// push passes the gathered bytes to the kernel and moves everything on by what it took.
func (s *sender) push(c *Conn) {
	l := s.loop
	n, err := s.hand(c)
	if err != nil {
		if err != unix.EAGAIN && err != unix.EINTR {
			l.life.hangUp(c) // the poller sees it and closes
			return
		}
		n = 0
	}
	l.stats.Bytes += uint64(n)
	if c.is(fMetered) {
		c.extras.meter.spend(n, l.looked)
	}
	c.flags |= fSent
	total := n
	if c.out != nil {
		n = c.out.sent(n, c.stream)
	}
	begun := l.stats.Frames
	n = s.advance(c, n)
	l.stats.SendBytes.add(uint64(total), UnitBytes, 1)
	if begun = l.stats.Frames - begun; begun > 0 {
		l.stats.SendFrames.add(begun, UnitFrames, 1)
	}
	if c.out != nil {
		c.out.sentClose(n)
		if c.out.empty() {
			c.out = nil
		}
	}
	if total < s.total || c.secure != nil && c.secure.Waiting() {
		l.stats.Partial++
		s.block(c)
	} else if c.state == stClosing && c.out == nil {
		l.life.endWrite(c)
	}
}

// hand passes the gathered bytes to the kernel, or to TLS on their way there.
func (s *sender) hand(c *Conn) (n int, err error) {
	if c.secure != nil {
		return s.encrypt(c)
	}
	s.loop.stats.Sends++
	return c.sock.Write(s.iov[:s.n])
}

// advance moves the members on by n bytes of the gathered pieces, and returns what is left of n.
func (s *sender) advance(c *Conn, n int) int {
	l := s.loop
	i := 0
	for r := range s.runs {
		run := &s.runs[r]
		m := &c.members[run.member]
		for left := run.pieces; left > 0; left-- {
			if n == 0 {
				return 0
			}
			p := &s.pieces[i]
			i++
			k := min(n, len(p.Bytes))
			frames, rest := l.rules.Sent(m, &run.cut, p, left == 1, k)
			l.stats.Frames += uint64(frames)
			if frames > 0 && run.cut.Fresh() && !c.is(fBehind) {
				l.stats.aged(l.wall, m.Room(), p, frames)
			}
			n -= k
			if len(rest) > 0 {
				// Only large frames are alone in their chunk. Of others a copy is kept, or one slow
				// member would hold many frames.
				if !p.Owned() {
					rest = append([]byte(nil), rest...)
				}
				c.outOf().rest = rest
				return 0
			}
		}
	}
	return n
}

// block waits until the socket takes bytes again.
func (s *sender) block(c *Conn) {
	l := s.loop
	c.flags |= fBlocked
	s.blocked[c.id] = c
	op := unix.EPOLL_CTL_MOD
	if !c.is(fPolled) {
		op = unix.EPOLL_CTL_ADD
		c.flags |= fPolled
	}
	e := unix.EpollEvent{
		Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(uint32(c.id)), Pad: int32(uint32(c.id >> 32)),
	}
	var err error
	c.sock.Control(func(fd int) { err = unix.EpollCtl(l.epfd, op, fd, &e) })
	if err != nil {
		l.log.Error("cannot watch a socket for writability; closing it", "conn", c.id, "error", err)
		c.sock.ShutDown()
		c.sock.Resume()
	}
}

// gather cuts from the tapes what the connection's members lack. It starts at another member each
// time, so that a busy room does not starve a quiet one. If few bytes may be sent, small rooms come
// first. With a meter, see gatherMetered.
func (s *sender) gather(c *Conn, most int) {
	s.left = most
	if c.is(fMetered) {
		s.gatherMetered(c, c.extras.meter)
		return
	}
	s.visits++
	n, first := len(c.members), most < maxVisit
	if first {
		for k := range n {
			if small(&c.members[k]) && !s.gatherMember(c, k) {
				return
			}
		}
	}
	for i := range n {
		k := (s.visits + i) % n
		if first && small(&c.members[k]) {
			continue
		}
		if !s.gatherMember(c, k) {
			return
		}
	}
}

// gatherMember is gather for one member. It returns false if nothing more may be gathered, or if
// the connection is being closed. In the latter case nothing that was gathered is sent.
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
		if c.stream != streamNot {
			s.makeEvents(c, m, cut.Extra, pieces[had:])
		}
		s.runs = append(s.runs, run{member: k, pieces: n, cut: cut})
		for _, p := range pieces[had:] {
			s.left -= len(p.Bytes)
		}
	}
	return true
}
