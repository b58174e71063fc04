package loop

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/heartbeat"
	"tapecast/rooms/survey"
)

// slice is how long a loop does one kind of work before it looks for private messages and continues
// with the next kind.
const slice = 500 * time.Microsecond

// maxEvents is how many writable sockets one epoll_wait returns at most.
const maxEvents = 128

// maxKept is for how many events an inbox keeps its memory.
const maxKept = 4096

// Loop is one goroutine that owns a set of connections: their members, their sends and their
// timers. All others post to its inbox.
type Loop struct {
	engine   *Engine
	index    int
	table    *rooms.Table
	listener *rooms.Listener
	handler  Handler
	log      *slog.Logger

	turns  heartbeat.Counter
	inbox  inbox
	epfd   int
	done   bool
	ended  chan struct{}
	events []event // taken from the inbox
	at     int     // the first of them that has not been handled
	dirty  []*rooms.Sub

	life   life
	timers timers
	pings  pings
	rules  member.Rules

	urgent queue  // members of small rooms that lack something
	owed   queue  // clients that must be sent something besides rooms: replies, pings, a close
	ready  queue  // members that have joined, were blocked, or lack more than one visit sends
	hot    passes // large rooms that lack something

	send   sender
	stats  counts
	looked time.Duration // when the loop last looked at the engine's clock
	slept  time.Duration // how much of that time it was asleep
	wall   int64         // when the slice began, ms since 1970

	lags survey.Survey[map[*rooms.Class]*Lag]
	slow survey.Survey[[]MemberInfo]
}

func newLoop(e *Engine, i int) (*Loop, error) {
	l := &Loop{
		engine: e, index: i, table: e.cfg.Table, handler: e.cfg.Handler, log: e.cfg.Log, ended: make(chan struct{}),
	}
	l.life.loop, l.timers.loop, l.pings.loop, l.send.loop = l, l, l, l
	l.send.blocked = map[uint64]*Conn{}
	l.timers.wheel.init()
	l.rules = member.Rules{Table: l.table, Now: e.now, Recalls: e.cfg.Recall != nil, Counts: &l.stats.Counts}
	l.turns.Name = "loop " + strconv.Itoa(i)
	l.stats.init(len(e.feeds()))
	l.urgent = queue{flag: fUrgent, most: maxUrgent}
	l.owed = queue{flag: fOwed, most: maxUrgent}
	l.ready = queue{flag: fReady, most: maxVisit}
	if err := l.inbox.open(); err != nil {
		return nil, fmt.Errorf("cannot create an eventfd: %w", err)
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(l.inbox.wakefd)
		return nil, fmt.Errorf("cannot create an epoll set: %w", err)
	}
	l.epfd = epfd
	err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, l.inbox.wakefd, &unix.EpollEvent{Events: unix.EPOLLIN})
	if err != nil {
		l.release()
		return nil, fmt.Errorf("cannot watch an eventfd: %w", err)
	}
	if l.table != nil {
		l.listener = l.table.Listen(l.inbox.grown)
		l.listener.Found = func(f *rooms.Found) { l.post(event{kind: evFound, arg: f}) }
	}
	return l, nil
}

func (l *Loop) release() {
	unix.Close(l.epfd)
	unix.Close(l.inbox.wakefd)
}

// post posts an event to the loop. What the handler asks for while it decides on an upgrade waits
// for the answer, which wakes the loop anyway.
func (l *Loop) post(e event) {
	if e.conn != nil && e.conn.signs.judging() {
		l.inbox.postLater(e)
		return
	}
	l.inbox.post(e)
}

// do makes the loop call f.
func (l *Loop) do(f func(*Loop)) { l.post(event{kind: evDo, arg: f}) }

// run is the loop. Each turn looks at everything once, and no kind of work keeps the others waiting
// for longer than a slice. Grown rooms are looked at between any two kinds.
func (l *Loop) run() {
	defer close(l.ended)
	defer l.turns.End()
	defer l.release()
	l.looked = l.engine.now()
	l.slept = l.looked
	var ready [maxEvents]unix.EpollEvent
	for !l.done {
		l.turns.End()
		n := l.wait(ready[:])
		l.turns.Begin()
		for i := range ready[:n] {
			l.writable(&ready[i])
		}
		l.timers.turn()
		l.rules.WakeDue()
		l.takeGrown()
		l.takeEvents()
		l.takeGrown()
		l.owed.serve(l)
		l.takeGrown()
		l.ready.serve(l)
		l.takeGrown()
		l.hot.step(l)
		l.stats.publish(l)
	}
}

// wait sleeps until there is something to do. It does not sleep if work is left.
func (l *Loop) wait(ready []unix.EpollEvent) int {
	timeout := 0
	done := l.urgent.empty() && l.owed.empty() && l.ready.empty() && len(l.hot) == 0 && l.at == len(l.events)
	if done && l.inbox.mayRest() {
		timeout = l.restFor()
	}
	n, err := unix.EpollWait(l.epfd, ready, timeout)
	l.inbox.asleep.Store(false)
	if timeout != 0 {
		from := l.looked
		l.looked = l.engine.now()
		l.slept += l.looked - from
	}
	if err != nil && err != unix.EINTR {
		panic(fmt.Sprintf("BUG: epoll_wait on descriptor %d: %v", l.epfd, err))
	}
	return max(n, 0)
}

// takeGrown looks at the rooms that have grown, and serves the small ones. If the join of a room is
// still to be handled, there is nothing to serve yet, and that join looks at the room's head.
func (l *Loop) takeGrown() {
	l.dirty = l.inbox.takeDirty(l.dirty)
	for i, sub := range l.dirty {
		l.grown(sub)
		l.dirty[i] = nil
	}
	l.urgent.serve(l)
}

// takeEvents handles events for one slice. A storm brings thousands at once, and many of them send.
func (l *Loop) takeEvents() {
	if l.at == len(l.events) {
		l.events, l.at = l.inbox.takeEvents(l.events), 0
	}
	if len(l.events) == 0 {
		return
	}
	end := l.clock().Add(slice)
	for l.at < len(l.events) {
		l.handle(&l.events[l.at])
		l.events[l.at] = event{}
		if l.at++; !time.Now().Before(end) {
			return
		}
	}
	if cap(l.events) > maxKept {
		l.events, l.at = nil, 0 // do not keep the memory of a burst
	}
}

// clock returns the time at the start of a slice, and keeps it for the ages of messages sent in the
// slice. Ages are in ms, and a slice is half of one.
func (l *Loop) clock() time.Time {
	now := time.Now()
	l.wall = now.UnixMilli()
	return now
}

// handle handles one event. Until the upgrade is answered, everything that the handler asks of a
// connection waits.
func (l *Loop) handle(e *event) {
	c := e.conn
	if c != nil && c.state == stNew {
		switch e.kind {
		case evOpened, evUpgrade, evCipher, evPaused, evGone:
		default:
			c.sideOf().later = append(c.side.later, *e)
			return
		}
	}
	switch e.kind {
	case evOpened:
		l.life.opened(c)
	case evUpgrade:
		l.life.upgraded(c, e)
	case evSend:
		l.life.reply(c, e.data)
	case evPing:
		l.life.pong(c, c.takePongs())
	case evPeerClose:
		l.life.peerClosed(c, e.code)
	case evClose:
		l.life.close(c, e.code, e.data)
	case evGone:
		l.life.gone(c)
	case evTimer:
		c.timerAt = e.tick
		c.flags &^= fTimeOfDay
		if e.mark == markTimeOfDay {
			c.flags |= fTimeOfDay
		}
		l.timers.schedule(c)
	case evAuthenticated:
		l.life.authenticated(c, e.mark == markPositions)
	case evMeasure:
		l.measure(c)
	case evJoin, evLeave:
		l.membersAsked(e)
	case evLeaveOn:
		e.arg.(*leaving).goOn(l, c)
	case evJoined:
		e.arg.(*joining).goOn(l, c)
	case evFound:
		l.found(e.arg.(*rooms.Found))
	case evCipher:
		l.send.flush(c)
	case evPaused:
		l.timers.paused(c, putOff(e.code))
	case evDo:
		e.arg.(func(*Loop))(l)
	default:
		panic(fmt.Sprintf("BUG: an event has the unknown kind %d", e.kind))
	}
}

// writable is called for a socket that takes bytes again. The event carries the connection's number
// and not its descriptor, since descriptors are used again.
func (l *Loop) writable(e *unix.EpollEvent) {
	if e.Fd == 0 && e.Pad == 0 {
		var b [8]byte
		unix.Read(l.inbox.wakefd, b[:])
		return
	}
	c := l.send.blocked[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]
	if c == nil {
		return
	}
	delete(l.send.blocked, c.id)
	c.flags &^= fBlocked
	l.ready.add(c)
}
