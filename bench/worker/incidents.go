package worker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/proto"
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

// Ids of the requests with which clients leave and return.
const (
	leaveID  = 3
	returnID = 4
)

// churnPatience is how long clients that are away at the end may take to come back.
const churnPatience = 10 * time.Second

type churner struct {
	order job.Order
	tries int        // so far: one client after the other
	next  int64      // when the next client is due to leave
	back  []comeback // clients that are away, in the order in which they left
	due   []int64    // by client: when what it waits for was due; 0: it waits for nothing
	out   *job.ChurnTally
}

func (x *churner) step(l *loop, now int64) bool {
	for ; x.next <= now && x.next < x.order.To && len(x.due) > 0; x.next += int64(x.order.Every) {
		i := x.tries % len(x.due)
		x.tries++
		c := &l.clients[i]
		if x.due[i] != 0 || c.state != stJoined {
			x.out.Skipped++
			continue
		}
		x.due[i] = x.next
		l.ask(i, c, fmt.Sprintf(proto.LeaveRequest, proto.List(l.roomsOf(i)), leaveID))
	}
	for len(x.back) > 0 && x.back[0].at <= now {
		i := x.back[0].client
		x.due[i] = x.back[0].at
		x.back = x.back[1:]
		if c := &l.clients[i]; c.state == stJoined {
			l.reader.out[i] = false // from now on the gateway may send again
			l.ask(i, c, fmt.Sprintf(`{"method":"subscribe","params":{"rooms":%s,"snapshot":false%s},"id":%d}`,
				proto.List(l.roomsOf(i)), l.since(i), returnID))
		}
	}
	return now < x.order.To || x.out.Returned < x.out.Left && now < x.order.To+int64(churnPatience)
}

func (x *churner) answered(l *loop, i int, m *proto.Message, now int64) error {
	id, _ := strconv.Atoi(string(m.ID)) // 0 for an id that is not a number
	if id != leaveID && id != returnID || i >= len(x.due) {
		return nil
	}
	if m.Result.Refused() {
		return fmt.Errorf("a client that came back was refused: %.200s", proto.JSON(m.Result.Rooms))
	}
	due := x.due[i]
	if id == leaveID {
		x.out.Left++
		x.out.Leave.Record(now - due)
		x.back = append(x.back, comeback{at: now + int64(x.order.Away), client: i})
		l.reader.out[i] = true
		l.keep(i, m.Result.Positions())
		return nil
	}
	x.out.Returned++
	x.out.Return.Record(now - due)
	x.due[i] = 0
	if !x.order.Resume {
		l.reader.returned(i, now)
	}
	return nil
}

// pingID is the id of a client's first ping. The next pings count up from it.
const pingID = 1000

// pingPatience is how long the last answers are waited for.
const pingPatience = 10 * time.Second

// pinger pings. Like messages, pings are due by a schedule. If the gateway or the loop is
// late for one, that one takes longer, and those after it are sent all the same.
type pinger struct {
	order    job.Order
	clients  int64
	next     int64   // number of the next ping; clients ping in turn
	answered []int32 // by client: how many of its pings were answered
	sent     []int32
	waiting  int64
	settled  bool
	out      *job.PingTally
}

func newPinger(o job.Order, clients int) *pinger {
	return &pinger{
		order: o, clients: int64(clients), answered: make([]int32, clients), sent: make([]int32, clients),
		out: &job.PingTally{Latency: job.NewHist()},
	}
}

// due returns when ping n is due, counted over all clients.
func (x *pinger) due(n int64) int64 {
	round, at := n/x.clients, n%x.clients
	return x.order.From + round*int64(x.order.Every) + at*int64(x.order.Every)/x.clients
}

func (x *pinger) step(l *loop, now int64) bool {
	for ; x.due(x.next) <= now && x.due(x.next) < x.order.To; x.next++ {
		i := int(x.next % x.clients)
		c := &l.clients[i]
		if c.state != stJoined {
			continue // its connection has ended, and pings no more
		}
		x.sent[i]++
		x.waiting++
		x.out.Sent++
		l.ask(i, c, fmt.Sprintf(`{"jsonrpc":"2.0","method":"ping","id":%d}`, pingID+int64(x.sent[i])-1))
	}
	if now < x.order.To || x.waiting > 0 && now < x.order.To+int64(pingPatience) && l.joined > 0 {
		return true
	}
	x.settle(now)
	return false
}

// answeredBy takes a message, and reports whether it is the answer to a ping.
func (x *pinger) answeredBy(i int, m *proto.Message, now int64) bool {
	id, err := strconv.ParseInt(string(m.ID), 10, 64)
	k := id - pingID
	if err != nil || m.Method != "" || k < 0 || k != int64(x.answered[i]) || k >= int64(x.sent[i]) {
		return false
	}
	x.answered[i]++
	x.waiting--
	if m.Error != nil {
		x.out.Refused++
		return true
	}
	x.record(i, k, now)
	return true
}

// record times ping k of client i.
func (x *pinger) record(i int, k, now int64) {
	if due := x.due(k*x.clients + int64(i)); due >= x.order.Timed {
		x.out.Latency.Record(max(0, now-due))
	}
}

func (x *pinger) settle(now int64) {
	if x.settled {
		return
	}
	x.settled = true
	for i := range x.sent {
		for k := x.answered[i]; k < x.sent[i]; k++ {
			x.out.Unanswered++
			x.record(i, int64(k), now)
		}
	}
}

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
