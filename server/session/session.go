package session

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"tapecast/loop"
	"tapecast/server/auth"
	"tapecast/server/limits"
)

// conn is what the handler needs of a *loop.Conn. Any goroutine may call it.
type conn interface {
	ID() uint64
	Remote() netip.AddrPort
	Session() any
	SetSession(any)
	Pend() bool
	SendText([]byte)
	Close(code int, reason string)
	SetTimer(time.Time)
	SetTimeout(time.Duration)
	SetAuthenticated(positions bool)
	Join([]loop.RoomRef, func([]loop.Joined) []byte)
	Leave([]string, func([]loop.Joined) []byte)
	List(func([]loop.Joined) []byte)
}

// phase is how far a client has come.
type phase uint8

const (
	phPending phase = iota // has yet to authenticate
	phManual               // authenticated by ?join=manual, and has yet to say what to join
	phJoining              // authenticated; the rooms of that step are being joined
	phOpen
	phClosed // being closed, or gone: nothing is answered any more
)

func (p phase) authenticated() bool { return p == phManual || p == phJoining || p == phOpen }

// session is what the handler keeps of a connection: 48 bytes, because there
// are hundreds of thousands (TestSessionSize). Requests come on a poller's goroutine,
// timers and the answers of rooms on a loop's: mu guards the fields.
//
// No method of a connection is called while mu is held.
type session struct {
	mu      sync.Mutex
	user    string // "" until authenticated
	expires int64  // of the token, in seconds since 1970
	paid    limits.Bucket
	rooms   int32 // joined, or being joined
	lead    uint8 // in leadUnit, before the end at which auth_expiring is due; 0: it was sent
	waiting uint8 // what requests weigh whose rooms have not been answered
	phase   phase
}

const (
	// expiryNotice is how long before its session ends a client is told: leeway after its
	// token's exp.
	expiryNotice = 30 * time.Second
	// leadUnit makes expiryNotice fit a byte.
	leadUnit = time.Second / 8
	// maxWaiting is what requests may weigh that wait for rooms, on one connection: one each,
	// and one for each waitUnit that they take. While Kafka is away a request may wait for
	// 15 s; what is sent at once behind a join waits for a moment only.
	maxWaiting = 128
	waitUnit   = 4 << 10
	// roomSize is what a room takes of a request that waits, besides its text.
	roomSize = 200
	// maxTimer keeps timers within what a loop can count to. A timer that fires early is
	// set again.
	maxTimer = 24 * time.Hour
)

// sessionOf returns the session of a connection, or nil if the handshake was refused or the
// connection is gone.
func sessionOf(c conn) *session {
	s, _ := c.Session().(*session)
	return s
}

// user names the user of a connection; "" before it has authenticated.
func (h *Handler) user(c conn) string {
	s := sessionOf(c)
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// end is when the session must end; leeway is forgiven as it was when the token came.
func (s *session) end(leeway time.Duration) time.Time {
	return time.Unix(s.expires, 0).Add(leeway)
}

// renewLocked takes over a token's times.
func (s *session) renewLocked(id auth.Identity, leeway time.Duration, now time.Time) {
	s.expires = id.Expires
	lead := min(expiryNotice, s.end(leeway).Sub(now)/4)
	s.lead = uint8(max(1, lead/leadUnit))
}

// nextTimerLocked is when the session must be looked at again.
func (s *session) nextTimerLocked(leeway time.Duration, now time.Time) time.Time {
	at := s.end(leeway).Add(-time.Duration(s.lead) * leadUnit)
	if most := now.Add(maxTimer); at.After(most) {
		return most
	}
	return at
}

// closeLocked ends the session; false: it was over already.
func (s *session) closeLocked(l *limits.Limiter) bool {
	if s.phase == phClosed {
		return false
	}
	if s.phase == phPending {
		l.Pending.Add(-1)
	}
	s.phase = phClosed
	return true
}

// reserve counts n more rooms, or as many as most leaves; 0: any number.
func (s *session) reserve(n int, most int) (granted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most > 0 {
		n = min(n, max(0, most-int(s.rooms)))
	}
	s.rooms += int32(n)
	return n
}

// release counts n rooms off again.
func (s *session) release(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.rooms = max(0, s.rooms-int32(n))
	s.mu.Unlock()
}

// enter counts a request that is about to wait for rooms. It returns false if too much
// waits already. A single request may always wait, whatever it weighs.
func (s *session) enter(weight uint8) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 && int(s.waiting)+int(weight) > maxWaiting {
		return false
	}
	s.waiting += weight
	return true
}

// leave counts it off again.
func (s *session) leave(weight uint8) {
	s.mu.Lock()
	s.waiting -= weight
	s.mu.Unlock()
}

// ClientID names a connection for its client and in the logs of all nodes.
func (h *Handler) ClientID(c conn) string {
	b := append(make([]byte, 0, 32), h.node...)
	b = append(b, '-')
	return string(strconv.AppendUint(b, c.ID(), 10))
}
