package loop

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tapecast/rooms"
)

type kind uint8

const (
	evOpened        kind = iota // accepted; the upgrade is awaited
	evUpgrade                   // data: the response; code: its status; arg: whether the handler has seen it
	evSend                      // data: whole frames
	evPing                      // pongs wait: see takePongs
	evPeerClose                 // code: the peer's close code, or 0
	evClose                     // code, data: reason
	evGone                      // the descriptor is closed
	evTimer                     // tick, mark
	evAuthenticated             // mark
	evMeasure                   // the limit of bytes a second may have changed
	evJoin                      // arg: *joining
	evJoined                    // arg: *joining, answered
	evFound                     // arg: *rooms.Found
	evLeave                     // arg: *leaving
	evLeaveOn                   // arg: *leaving, begun
	evCipher                    // ciphertext waits for the socket
	evPaused                    // code: the putOff, which is why it is not read
	evDo                        // arg: func(*Loop); an answer to what the loop asked, for example
)

// mark is a detail of an event.
type mark uint8

const (
	markNone      mark = iota
	markPositions      // evAuthenticated: its pings are `positions`
	markTimeOfDay      // evTimer: the timer goes by the wall clock
)

// event is one thing that happened to a connection, or was asked of it.
type event struct {
	kind kind
	mark mark
	code uint16
	tick tick
	conn *Conn
	data []byte
	arg  any
}

// inbox is how other goroutines reach a loop. It has the loop's only lock, which is held for a few
// instructions.
type inbox struct {
	mu     sync.Mutex
	events []event
	dirty  []*rooms.Sub
	most   int // events so far

	asleep atomic.Bool // the loop is in epoll_wait, or about to be
	wakefd int         // eventfd
}

func (b *inbox) open() (err error) {
	b.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return err
}

func (b *inbox) post(e event) {
	b.postLater(e)
	b.wake()
}

// postLater posts without waking a sleeping loop. The loop finds the event with the next one that
// wakes it, or at its next tick.
func (b *inbox) postLater(e event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.most = max(b.most, len(b.events))
	b.mu.Unlock()
}

// length returns how many events wait, and the most that have waited so far.
func (b *inbox) length() (now, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events), b.most
}

// grown is called by appenders with rooms that have new frames.
func (b *inbox) grown(subs []*rooms.Sub) {
	b.mu.Lock()
	b.dirty = append(b.dirty, subs...)
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	if b.asleep.Load() && b.asleep.Swap(false) {
		one := [8]byte{1}
		unix.Write(b.wakefd, one[:]) // fails only when it is readable already
	}
}

// mayRest reports whether the loop may sleep. From then on posts wake it.
func (b *inbox) mayRest() bool {
	b.asleep.Store(true)
	b.mu.Lock()
	empty := len(b.events) == 0 && len(b.dirty) == 0
	b.mu.Unlock()
	if !empty {
		b.asleep.Store(false)
	}
	return empty
}

// takeEvents takes all events. done, the list of the last call, is filled next.
func (b *inbox) takeEvents(done []event) []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events = done[:0]
	return events
}

// takeDirty is takeEvents for rooms that have grown.
func (b *inbox) takeDirty(done []*rooms.Sub) []*rooms.Sub {
	b.mu.Lock()
	defer b.mu.Unlock()
	dirty := b.dirty
	b.dirty = done[:0]
	return dirty
}
