package worker

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/machine"
)

// client is one connection. It belongs to its loop.
type client struct {
	fd     int32 // -1: none
	state  state
	tail   []byte // the start of a frame that is not complete yet
	dialed int64  // when connect was called, monotonic
	token  string // signed before dialling, so that signing isn't timed; "" once used
	wire   *wire  // nil: no TLS
}

type state uint8

const (
	stNew        state = iota
	stConnecting       // waits for the kernel
	stSecuring         // waits for the TLS handshake
	stUpgrading        // waits for the answer to the opening handshake
	stGreeting         // waits for `authenticated`
	stEntering         // waits for `auto_subscribed`
	stJoined
	stClosing // has sent a close frame
	stGone
)

// loop serves all clients of a worker process (doc.go). Other goroutines may only call wakeUp.
type loop struct {
	job     job.Job
	clock   machine.Clock
	sign    job.Signer
	seed    uint64
	addr    unix.Sockaddr
	family  int
	sources []unix.Sockaddr

	ep     int
	tls    *tls.Config // nil: no TLS
	cipher []byte      // ciphertext that was read
	waking sync.Mutex  // guards secureds, and wake against its own closing
	wake   int         // -1: closed

	secureds    []secured
	securing    sync.WaitGroup // TLS handshakes, each on a goroutine of its own
	events      []unix.EpollEvent
	buf         []byte // a read goes behind headroom, and the tail of the previous one before it
	stamper     *stamper
	clients     []client
	assignments []job.Assignment
	reader      *reader
	speaker     speaker

	dialing, joined, gone, dialled int
	handshake                      *job.Hist

	paced   bool  // polls are at least job.Pace apart
	polled  int64 // when epoll was last asked
	asleep  int64 // ns without anything to do, so far
	reads   int64
	lag     *job.Hist // from the kernel's receive time to the read, at a sample of clients, in this interval
	lags    pieces
	marked  mark      // the counters when the interval began
	turns   *job.Hist // time from poll to poll, for each event
	window  window
	notices map[string]int64
	closes  map[string]int64
	faults  []string
	invalid int64
	failed  error // the first fault before all had joined: it ends the run
	stall   *staller

	incidents []incident
	storm     *storm            // the last one
	churn     *churner          // the only one
	pinger    *pinger           // the only one
	readLimit int               // most bytes of one read, where clients read slowly. 0: no limit
	positions []json.RawMessage // by client: the positions that it was given on joining
}

// readSize is the most that one read takes. The gateway sends a client at most 128 KB in
// one visit, which fits twice. It also fits in the second-level cache, where the frames are
// then taken apart.
const readSize = 256 << 10

// maxEvents covers all clients that a process can hold, so one poll reports all that are readable.
const maxEvents = 20_000

func newLoop(j job.Job) (*loop, error) {
	shape, err := j.Shape()
	if err != nil {
		return nil, err
	}
	l := &loop{
		job: j, clock: machine.NewClock(), sign: job.NewSigner(j.Keys),
		events:  make([]unix.EpollEvent, min(maxEvents, j.Clients+1)),
		clients: make([]client, j.Clients), reader: newReader(shape, j.Bare, j.Check),
		handshake: job.NewHist(), lag: job.NewHist(), turns: job.NewHist(), window: window{edge: never},
		notices: map[string]int64{}, closes: map[string]int64{},
	}
	l.job.InFlight = cmp.Or(j.InFlight, job.DefaultInFlight)
	l.seed = uint64(l.clock.Now())
	if l.assignments = slices.Clone(j.Assignments); l.assignments == nil {
		l.assignments = make([]job.Assignment, 1)
	}
	for k := range l.assignments {
		l.assignments[k].Prepare()
	}
	for i := range l.clients {
		l.clients[i].fd = -1
	}
	l.reader.anywhere = j.Wrapped
	l.reader.limit = max(shape.Size(), j.Size) + job.MaxEnvelope
	l.buf = make([]byte, l.headroom()+readSize)
	if l.speaker, err = newSpeaker(l); err != nil {
		return nil, err
	}
	l.reader.notice, l.reader.control = l.speaker.notice, l.control
	if f, ok := l.speaker.(framer); ok {
		l.reader.frame = f.frame
	}
	if l.tls, err = j.TLSConfig(); err != nil {
		return nil, err
	}
	if l.tls != nil {
		l.cipher = make([]byte, readSize)
	}
	if l.stamper, err = newStamper(); err != nil {
		return nil, err
	}
	if j.Deflate {
		l.reader.inflates()
	}
	if j.Stamp {
		l.reader.arrival = job.NewHist()
	}
	if l.addr, l.family, err = sockaddr(j.Addr); err != nil {
		return nil, err
	}
	for _, s := range j.Sources {
		a, _, err := sockaddr(s + ":0")
		if err != nil {
			return nil, err
		}
		l.sources = append(l.sources, a)
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make an epoll set: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make an eventfd: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeMark}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, l.wake, &ev); err != nil {
		return nil, fmt.Errorf("cannot watch an eventfd: %w", err)
	}
	return l, nil
}

// wakeMark is in an event where other events have their client's number.
const wakeMark = -1

func (l *loop) headroom() int { return l.reader.limit + 10 }

// wakeUp ends a wait for events. Any goroutine may call it.
func (l *loop) wakeUp() {
	l.waking.Lock()
	defer l.waking.Unlock()
	one := uint64(1)
	_, _ = unix.Write(l.wake, (*[8]byte)(unsafe.Pointer(&one))[:]) // full: it is awake already
}

// turn waits for events for at most the given time, and serves them all.
func (l *loop) turn(atMost time.Duration) {
	before := l.polled
	if l.stall != nil && l.polled >= l.stall.from {
		l.stall.sit(l)
	}
	if l.paced {
		if now := l.clock.Now(); now < l.polled+int64(l.job.Pace) {
			machine.SleepUntil(l.polled + int64(l.job.Pace))
			l.asleep += l.clock.Now() - now
		}
	}
	l.polled = l.clock.Now()
	if len(l.incidents) > 0 {
		l.incidents = slices.DeleteFunc(l.incidents, func(x incident) bool { return !x.step(l, l.polled) })
		atMost = min(atMost, time.Millisecond)
	}
	n := l.poll(0)
	if n == 0 && !l.paced {
		n = l.poll(atMost)
		now := l.clock.Now()
		l.asleep += now - l.polled
		l.polled, before = now, now
	}
	if l.polled >= l.window.edge {
		l.window.cross(l, l.polled)
	}
	if n == 0 {
		return
	}
	for k := range l.events[:n] {
		ev := &l.events[k]
		if ev.Fd == wakeMark {
			var b [8]byte
			_, _ = unix.Read(l.wake, b[:])
			l.upgradeSecured()
			continue
		}
		l.serve(int(ev.Fd), ev.Events)
	}
	// An event that was served may have waited since the poll before this one.
	if l.reader.started {
		l.turns.RecordN(l.clock.Now()-before, int64(n))
	}
}

func (l *loop) poll(atMost time.Duration) int {
	if atMost == 0 { // spares the hand-over to Go's scheduler
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.events[0])),
			uintptr(len(l.events)), 0, 0, 0)
		if errno == 0 {
			return int(n)
		}
		if errno != unix.EINTR {
			panic("BUG: cannot poll: " + errno.Error())
		}
		return 0
	}
	n, err := unix.EpollWait(l.ep, l.events, int(max(atMost.Milliseconds(), 1)))
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic("BUG: cannot poll: " + err.Error())
	}
	return max(n, 0)
}

func (l *loop) serve(i int, ev uint32) {
	c := &l.clients[i]
	switch c.state {
	case stNew, stGone, stSecuring: // the event was fetched before its client ended, or belongs to the handshake
	case stConnecting:
		l.connected(i, c, ev)
	default:
		if l.readLimit > 0 && c.state == stJoined {
			return // it reads when its turn comes
		}
		if ev&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			l.receive(i, c, ev)
		}
	}
}

// end forgets a client's connection. The reason is a close code, or words.
func (l *loop) end(i int, c *client, why string) {
	if c.state == stGone {
		return
	}
	if l.storm != nil && l.storm.dropped && c.state != stJoined && c.state != stClosing {
		l.storm.failed(l, i, c, why)
		return
	}
	if c.state != stJoined && c.state != stClosing && l.failed == nil {
		l.failed = fmt.Errorf("client %d, user %s, cannot join: %s", i, job.UserName(l.job.First+i), why)
	}
	if c.state == stJoined {
		l.joined--
	} else if c.state != stClosing {
		l.dialing--
	}
	_ = unix.Close(int(c.fd)) // nothing was written that could be lost
	l.closes[why]++
	l.gone++
	c.fd, c.state, c.tail, c.wire = -1, stGone, nil, nil
}

// fault ends a client that got something invalid.
func (l *loop) fault(i int, c *client, err error) {
	if c.state == stJoined {
		l.invalid++
		l.tell(fmt.Sprintf("client %d: %v", i, err))
	}
	l.end(i, c, err.Error())
}

func (l *loop) tell(fault string) {
	if len(l.faults) < job.MaxFaults {
		l.faults = append(l.faults, fault)
	}
}

func (l *loop) close() {
	for i := range l.clients {
		if c := &l.clients[i]; c.state == stSecuring {
			_ = unix.Shutdown(int(c.fd), unix.SHUT_RDWR) // ends its handshake
		}
	}
	l.securing.Wait() // they use the descriptors, and their numbers are reused after this
	for i := range l.clients {
		if fd := l.clients[i].fd; fd >= 0 {
			_ = unix.Close(int(fd))
		}
	}
	l.stamper.close()
	l.waking.Lock()
	_ = unix.Close(l.wake)
	l.wake = -1
	l.waking.Unlock()
	_ = unix.Close(l.ep)
}
