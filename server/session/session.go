package session

import (
	"crypto/x509"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"tapecast/loop"
	"tapecast/server/auth"
	"tapecast/server/auth/revoked"
	"tapecast/server/limits"
	"tapecast/server/rights"
)

// conn is what the handler needs of a *loop.Conn. Any goroutine may call it.
type conn interface {
	ID() uint64
	Remote() netip.AddrPort
	Session() any
	SetSession(any)
	Pend() bool
	// Certificate may be called only while a message or the handshake is handled.
	Certificate() (leaf *x509.Certificate, until time.Time)
	SendText([]byte)
	Close(code int, reason string)
	SetTimer(time.Time)
	SetTimeout(time.Duration)
	SetAuthenticated(positions bool)
	Measure()
	Join([]loop.RoomRef, func([]loop.Joined) []byte)
	Leave([]string, func([]loop.Joined) []byte)
	List(func([]loop.Joined) []byte)
}

type phase uint8

const (
	phPending phase = iota // has yet to authenticate
	phAsking               // has sent a token that is being checked elsewhere
	phManual               // authenticated with ?join=manual, and has yet to name its rooms
	phJoining              // authenticated; its first rooms are being joined
	phOpen
	phClosed // being closed, or gone: nothing is answered
)

// pending reports whether the client has yet to be let in.
func (p phase) pending() bool { return p == phPending || p == phAsking }

func (p phase) authenticated() bool { return p == phManual || p == phJoining || p == phOpen }

// session is the handler's state of a connection. It is kept at 64 bytes, since there are hundreds
// of thousands (TestSessionSize). Requests come on a poller's goroutine, timers and the answers of
// rooms on a loop's. mu guards the fields.
//
// No method of a connection is called while mu is held.
type session struct {
	mu      sync.Mutex
	user    string // "" until authenticated
	expires int64  // of the token, in seconds since 1970, or of the session; anonymously: it has none
	paid    limits.Bucket
	tokenID uint64 // revoked.Mark of the token
	issued  uint32 // the same
	last    uint32 // when auth.max_session, or the client's certificate, is over, in s since 1970; 0: never
	rooms   int32  // joined, or being joined
	lead    uint8  // how long before the end auth_expiring is due, in leadUnit; 0: it was sent
	waiting uint8  // the weight of requests that wait for their rooms
	phase   phase
	marks   marks
}

// marks are the tier of the account, and whether the session asks about a token that renews it.
type marks uint8

const (
	markAsks marks = 1 << 7
	markTier       = markAsks - 1
)

func (m marks) asks() bool        { return m&markAsks != 0 }
func (m marks) tier() limits.Tier { return limits.Tier(m & markTier) }

func (m *marks) setAsks(yes bool) {
	if *m &^= markAsks; yes {
		*m |= markAsks
	}
}

func (m *marks) setTier(t limits.Tier) { *m = *m&markAsks | marks(t)&markTier }

const (
	// expiryNotice is how long before its session ends, which is leeway after exp, a client is told.
	expiryNotice = time.Minute
	// leadUnit is the unit in which expiryNotice fits into a byte.
	leadUnit = time.Second / 4
	// maxWaiting is the most weight of requests that wait for rooms, on one connection. Each weighs
	// one, and one more for each waitUnit of its memory. While Kafka is away a request may wait for
	// 15 s. Requests sent right after a join wait only a moment.
	maxWaiting = 128
	waitUnit   = 4 << 10
	// roomSize is the memory of one room of a request that waits, besides its text.
	roomSize = 200
	// maxTimer keeps timers within the loop's range. A timer that fires early is set again.
	maxTimer = 24 * time.Hour
)

// ruled is the session of a connection where the configuration has rules for claims. Others need no
// memory for them.
type ruled struct {
	session
	claims  *auth.Claims // guarded by mu
	looked  uint16       // for how many names the token was looked at; guarded by mu
	sifting bool         // sift is under way, and has not looked at the claims yet
}

// newSession returns a session that is not open yet: that of a stream, or a new one.
func (h *Handler) newSession(stream *streamed) (attach any, s *session) {
	if stream != nil {
		return stream, &stream.session
	}
	if len(h.rules.Load().Claims()) == 0 {
		s = &session{phase: phClosed}
		return s, s
	}
	r := &ruled{session: session{phase: phClosed}}
	return r, &r.session
}

// ruledOf returns the session of a connection with the claims of its token; nil: it has none.
func ruledOf(c conn) *ruled {
	switch s := c.Session().(type) {
	case *ruled:
		return s
	case *streamed:
		return &s.ruled
	}
	return nil
}

// sessionOf returns the session of a connection; nil: it was refused, or is gone.
func sessionOf(c conn) *session {
	switch s := c.Session().(type) {
	case *session:
		return s
	case *ruled:
		return &s.session
	case *streamed:
		return &s.session
	}
	return nil
}

// who returns whom a connection belongs to.
func (h *Handler) who(c conn) (who rights.Who) {
	s := sessionOf(c)
	if s == nil {
		return who
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	who.User, who.Anonymous = s.user, s.anonymousLocked()
	if r := ruledOf(c); r != nil {
		who.Claims, who.Looked = r.claims, r.looked
	}
	return who
}

// setClaimsLocked keeps the claims of a token that was accepted. It reports whether they differ from
// those of the token before it.
func setClaimsLocked(c conn, id auth.Identity) (changed bool) {
	r := ruledOf(c)
	if r == nil {
		return false
	}
	r.looked = id.Looked
	if r.claims.Equal(id.Claims) {
		return false // the old ones stay: requests under way compare them
	}
	r.claims = id.Claims
	return true
}

// user returns the user of a connection, for goroutines that may use its session. It is "" before
// it has authenticated.
func (h *Handler) user(c conn) string {
	s := sessionOf(c)
	if s == nil {
		return ""
	}
	return s.name()
}

// name returns the user. It is "" before the client has authenticated, and once it is gone.
func (s *session) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

// end returns when the session must end, with the leeway that applied when the token came.
func (s *session) end(leeway time.Duration) time.Time {
	return time.Unix(s.expires, 0).Add(leeway)
}

func (s *session) renewLocked(id auth.Identity, mark revoked.Mark, leeway time.Duration, now time.Time) {
	s.expires, s.tokenID, s.issued = id.Expires, mark.ID, mark.Issued
	if s.last != 0 {
		s.expires = min(s.expires, int64(s.last)-int64((leeway+time.Second-1)/time.Second))
	}
	lead := min(expiryNotice, s.end(leeway).Sub(now)/4)
	s.lead = uint8(max(1, lead/leadUnit))
}

// nextTimerLocked returns when the session must be checked again.
func (s *session) nextTimerLocked(leeway time.Duration, now time.Time) time.Time {
	at := s.end(leeway).Add(-time.Duration(s.lead) * leadUnit)
	if most := now.Add(maxTimer); at.After(most) {
		return most
	}
	return at
}

// closeLocked ends the session. It returns false if it was over already.
func (s *session) closeLocked(l *limits.Limiter) bool {
	if s.phase == phClosed {
		return false
	}
	if s.phase.pending() {
		l.Pending.Add(-1)
	}
	s.phase = phClosed
	return true
}

// reserve counts n more rooms of a session and its user, or as many as their limits allow. It
// returns how many, and which limit forbids more.
func (h *Handler) reserve(c conn, s *session, n int) (granted int, by limits.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by = limits.Rooms
	row := h.limit.Row(s.marks.tier())
	if most := row.RoomsPerConnection; most > 0 {
		n = min(n, max(0, most-int(s.rooms)))
	}
	most := row.RoomsPerUser
	if s.user == "" && !h.limit.Sharing() {
		most = 0
	}
	if all, name := h.accountLocked(c, s); all != nil {
		if got := all.TakeRooms(name, n, most); got < n {
			n, by = got, limits.UserRooms
		}
	}
	s.rooms += int32(n)
	return n, by
}

// row returns the limits of a session's account.
func (h *Handler) row(s *session) *limits.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.limit.Row(s.marks.tier())
}

// mostRooms returns the limit of that kind.
func mostRooms(row *limits.Row, by limits.Kind) int {
	if by == limits.UserRooms {
		return row.RoomsPerUser
	}
	return row.RoomsPerConnection
}

func (h *Handler) release(c conn, s *session, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = min(n, int(s.rooms)); n <= 0 {
		return
	}
	s.rooms -= int32(n)
	if all, name := h.accountLocked(c, s); all != nil {
		all.GiveRooms(name, n)
	}
}

// enter counts a request that is about to wait for rooms. It returns false if too much waits
// already. A single request may always wait, whatever its weight.
func (s *session) enter(weight uint8) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > 0 && int(s.waiting)+int(weight) > maxWaiting {
		return false
	}
	s.waiting += weight
	return true
}

func (s *session) leave(weight uint8) {
	s.mu.Lock()
	s.waiting -= weight
	s.mu.Unlock()
}

// ClientID returns the name of a connection for its client and in the logs of all nodes.
func (h *Handler) ClientID(c conn) string {
	b := append(make([]byte, 0, 32), h.node...)
	b = append(b, '-')
	return string(strconv.AppendUint(b, c.ID(), 10))
}
