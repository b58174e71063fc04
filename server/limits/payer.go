package limits

import (
	"net/netip"
	"time"
)

// Client is who causes work: a connection of a user, with the limits of its tier.
type Client struct {
	ID   uint64
	User string // "" before authentication
	Tier Tier
}

func (c Client) conn(at pace) payer { return payer{kind: payConn, conn: c.ID, at: at} }
func (c Client) user(at pace) payer { return payer{kind: payUser, name: c.User, at: at} }

// Charge counts n units that a request costs its connection and user, before it is served. If it is
// not refused, only few of them count now, and the others are counted later.
func (l *Limiter) Charge(c Client, n, few, now int64) (Verdict, time.Duration) {
	row := l.Row(c.Tier)
	conn, user := row.conn.requests, row.user.requests
	v, retry := l.chargeFew(c.conn(conn), conn, n, few, now)
	if v == OK && c.User != "" && n > CostMessage {
		v, retry = l.chargeFew(c.user(user), user, n, few, now)
	}
	return v, retry
}

// Spend counts the cost of an answer: rooms that the request did not name, and bytes.
func (l *Limiter) Spend(c Client, rooms, bytes int, now int64) {
	row := l.Row(c.Tier)
	n := int64(max(0, rooms) + bytes/costReplied)
	conn, user := row.conn.requests, row.user.requests
	l.spend(c.conn(conn), conn, n, now)
	if c.User != "" {
		l.spend(c.user(user), user, n, now)
	}
}

// address returns the payer for bad tokens.
func address(a netip.Addr) payer {
	if a = a.Unmap(); a.Is6() { // a host has a /64 to itself
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		a = p.Addr()
	}
	return payer{kind: payAddress, name: string(a.AsSlice())}
}

// WornOut returns how long it takes until tokens from the address are checked again, or 0.
func (b *budgets) WornOut(from netip.Addr, now int64) time.Duration {
	who := address(from)
	blocked := who
	blocked.kind = payBlocked
	return max(b.over(who, b.tokens.burst, now), b.over(blocked, 0, now))
}

// signedTokens is how often a token with a good signature is refused before it counts as a guess.
var signedTokens = pace{each: int64(time.Second), burst: int64(10 * time.Second)}

// BadToken counts a refused token against the address that it came from, since there is no user
// yet. A token with a good signature is not a guess, and tokens of many users behind one address
// may expire together. But a client that sends the same one again and again pays for it.
func (b *budgets) BadToken(from netip.Addr, token string, signed bool, now int64) {
	if signed {
		if v, _ := b.charge(payer{kind: payToken, name: token}, signedTokens, 1, now); v == OK {
			return
		}
	}
	who := address(from)
	waits := b.WornOut(from, now) > 0 // it has been told: what was under way is no further strike
	b.spend(who, b.tokens, 1, now)
	if !waits && b.tokens.each > 0 && b.over(who, b.tokens.burst, now) > 0 {
		b.delay(who, now)
	}
}

const (
	// strikeFor is how long an address pays off each time that it was worn out.
	strikeFor = 5 * time.Minute
	// maxStrikes is how many such times are remembered.
	maxStrikes = 10
	// maxDelay is the longest that it waits, beyond what its bad tokens cost.
	maxDelay = time.Minute
)

// delay makes an address that is worn out wait: a second the first time, and twice as long each time
// that it comes back with bad tokens.
func (b *budgets) delay(who payer, now int64) {
	strikes := who
	strikes.kind = payStrikes
	n := (b.over(strikes, 0, now) + strikeFor - 1) / strikeFor // those before this one
	if n < maxStrikes {
		b.spend(strikes, pace{each: int64(strikeFor)}, 1, now)
	}
	wait := min(time.Second<<n, maxDelay)
	who.kind = payBlocked // apart from its debt, which is paid off meanwhile
	s, key := b.shard(who)
	s.mu.Lock()
	b.rememberLocked(s, key, now+int64(wait), now)
	s.mu.Unlock()
}

// MayLogOf reports whether a limit that an address hit may be logged, which is once a minute.
func (b *budgets) MayLogOf(from netip.Addr, k Kind, now int64) bool {
	line := address(from)
	line.kind, line.conn = payLog, uint64(k)
	return b.mayLog(line, now)
}

// MayLogTier reports whether an unknown tier may be logged, which is once a minute.
func (b *budgets) MayLogTier(now int64) bool {
	return b.mayLog(payer{kind: payLog, name: "tier"}, now)
}

// MayLog reports whether a limit that a connection hit may be logged, which is once a minute.
func (b *budgets) MayLog(conn uint64, k Kind, now int64) bool {
	return b.mayLog(payer{kind: payLog, conn: conn, name: k.String()}, now)
}

// mayLog takes one line a minute of a payer. What is refused adds nothing: it would be remembered for as
// long as a peer likes, and the memory for debts is everybody's.
func (b *budgets) mayLog(p payer, now int64) bool {
	return b.takes(p, pace{int64(time.Minute), int64(time.Minute)}, now) == 0
}

// SnapshotBegins returns how long a room's last values must wait before they are sent. A client
// whose debt is a whole budget waits. So does one that was sent those of the same room a moment
// ago. If the result is 0, the keys are counted.
func (l *Limiter) SnapshotBegins(c Client, room string, keys int, now int64) time.Duration {
	row := l.Row(c.Tier)
	conn, user, requests := row.conn.snapshots, row.user.snapshots, row.conn.requests
	if conn.each == 0 {
		return 0
	}
	wait := l.over(payer{kind: paySnapshots, conn: c.ID, at: conn}, conn.burst, now)
	wait = max(wait, l.over(payer{kind: payRoom, conn: c.ID, name: room, at: conn}, 0, now))
	if c.User != "" && user.each > 0 {
		wait = max(wait, l.over(payer{kind: payUserSnapshot, name: c.User, at: user}, user.burst, now))
	}
	if wait > 0 {
		l.spend(c.conn(requests), requests, CostRefused, now)
		return wait
	}
	l.SnapshotSent(c, room, costKey*int64(keys), now)
	return 0
}

// SnapshotSent counts bytes of a room's last values that were sent.
func (l *Limiter) SnapshotSent(c Client, room string, n, now int64) {
	row := l.Row(c.Tier)
	conn, user := row.conn.snapshots, row.user.snapshots
	if conn.each == 0 || n <= 0 {
		return
	}
	l.spend(payer{kind: paySnapshots, conn: c.ID, at: conn}, conn, n, now)
	if n > smallWalk {
		l.spend(payer{kind: payRoom, conn: c.ID, name: room, at: conn}, conn, n, now)
	}
	if c.User != "" {
		l.spend(payer{kind: payUserSnapshot, name: c.User, at: user}, user, n, now)
	}
}

// RecallBegins returns how long it takes until messages are read again for a connection, or 0, and
// whether they count.
func (l *Limiter) RecallBegins(c Client, now int64) (wait time.Duration, counted bool) {
	at := l.Row(c.Tier).recall
	if at.each == 0 {
		return 0, false
	}
	return l.over(payer{kind: payRecall, conn: c.ID, at: at}, at.burst, now), true
}

// RecallGiven counts bytes of messages that were read again for a connection.
func (l *Limiter) RecallGiven(c Client, n, now int64) {
	at := l.Row(c.Tier).recall
	l.spend(payer{kind: payRecall, conn: c.ID, at: at}, at, n, now)
}

// Owed returns what a connection owes for its requests, in units.
func (l *Limiter) Owed(c Client, now int64) int64 {
	at := l.Row(c.Tier).conn.requests
	if at.each == 0 {
		return 0
	}
	return int64(l.over(c.conn(at), 0, now)) / at.each
}

// Forgone returns how many debts were not remembered.
func (b *budgets) Forgone() uint64 { return b.forgone.Load() }
