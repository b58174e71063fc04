package server

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/server/config"
)

// What a request costs, in units of a room that it names: that takes a loop, an appender and a
// poller some 5 µs together, and its part of the reply 150 bytes.
const (
	costMessage = 1
	costRefused = 100       // of a request over the budget: a client that goes on is closed after 50 of them
	costBytes   = 512       // so many bytes asked cost one
	costReplied = 1 << 10   // and so many answered
	costKey     = 64        // bytes: what passing over a key in a snapshot counts, wanted or not
	smallWalk   = 256 << 10 // bytes up to which a snapshot needs no pause before the same again
)

// budget is what one payer may cause.
type budget struct {
	requests  pace
	snapshots pace // by bytes
}

// budgets are what clients may cause by requests that are well formed: a connection, and a user
// with all connections. What payers owe is remembered until it is paid off, and so outlives
// connections. Any goroutine may use it: a lock is held for one look into a map, and
// there are many.
type budgets struct {
	conn, user budget
	tokens     pace // that were bad, of one address

	seed    maphash.Seed
	shards  [budgetShards]budgetShard
	next    atomic.Uint32 // shard to be swept
	forgone atomic.Uint64 // debts that there was no room for
}

const (
	budgetShards = 64
	// maxDebts is what a shard remembers: 262,144 debts in all, some 9 MB.
	maxDebts = 1 << 12
	// fewDebts is up to how many debts a shard is not swept.
	fewDebts = 256
	// sweepEvery is the least time between two sweeps of a shard that is full.
	sweepEvery = time.Second
)

type budgetShard struct {
	mu    sync.Mutex
	owes  map[uint64]bucket
	full  int   // swept when it has so many
	swept int64 // when it was
}

// payer says which peer owes, and for what: the kinds of debts do not mix.
type payer struct {
	kind payerKind
	conn uint64
	name string
}

type payerKind uint8

const (
	payConn payerKind = iota
	payUser
	payAddress
	paySnapshots    // of a connection
	payUserSnapshot // of a user
	payRoom         // a connection's snapshots of one room
	payLog          // lines about one limit and connection
)

// newBudgets makes the budgets of the configuration.
func newBudgets(l *config.Limits) *budgets {
	b := &budgets{seed: maphash.MakeSeed()}
	b.conn = budget{newPace(l.RequestCost, l.RequestBurst), bytesPace(float64(l.SnapshotBytes))}
	if n := l.UserBudgets; n > 0 {
		b.user = budget{newPace(l.RequestCost*n, int(float64(l.RequestBurst)*n)), bytesPace(float64(l.SnapshotBytes) * n)}
	}
	if n := l.BadTokensPerSecond; n > 0 {
		b.tokens = newPace(n, int(min(max(1, 10*n), 1<<20)))
	}
	for i := range b.shards {
		b.shards[i].owes, b.shards[i].full = map[uint64]bucket{}, fewDebts
	}
	return b
}

// bytesPace is the rule for so many bytes a minute, and at once.
func bytesPace(perMinute float64) pace {
	if perMinute <= 0 {
		return pace{}
	}
	return pace{each: max(1, int64(float64(time.Minute)/perMinute)), burst: int64(time.Minute)}
}

// cost is n units by a rule, in ns.
func (p pace) cost(n int64) int64 {
	if p.each > 0 && n > math.MaxInt64/4/p.each {
		return math.MaxInt64 / 4
	}
	return n * p.each
}

func (b *budgets) shard(p payer) (*budgetShard, uint64) {
	h := maphash.Comparable(b.seed, p)
	return &b.shards[h%budgetShards], h
}

// charge counts n units against the payer. Who owes nothing may cause any; else it is refused
// what passes the burst, told when to come again, and owes for having asked.
func (b *budgets) charge(p payer, rule pace, n, now int64) (v paceVerdict, retry time.Duration) {
	return b.chargeFew(p, rule, n, n, now)
}

// chargeFew is charge for n units, only few of which are counted where they are not refused.
func (b *budgets) chargeFew(p payer, rule pace, n, few, now int64) (v paceVerdict, retry time.Duration) {
	if rule.each == 0 {
		return paceOK, 0
	}
	s, key := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	owed := max(0, int64(s.owes[key])-now)
	cost := rule.cost(n)
	if owed == 0 || owed+cost <= rule.burst {
		if few > 0 {
			b.rememberLocked(s, key, now+owed+rule.cost(few), now)
		}
		return paceOK, 0
	}
	if n > costMessage { // a ping does not count as going on
		n = costRefused
	}
	owed += rule.cost(n)
	b.rememberLocked(s, key, now+owed, now)
	if owed > 2*rule.burst {
		return paceFar, 0
	}
	return paceOver, time.Duration(max(owed-max(0, rule.burst-cost), int64(time.Millisecond)))
}

// spend counts n units that are spent already.
func (b *budgets) spend(p payer, rule pace, n, now int64) {
	if rule.each == 0 || n <= 0 {
		return
	}
	s, key := b.shard(p)
	s.mu.Lock()
	b.rememberLocked(s, key, max(int64(s.owes[key]), now)+rule.cost(n), now)
	s.mu.Unlock()
}

// over is how long until the payer owes no more than most ns.
func (b *budgets) over(p payer, most, now int64) time.Duration {
	s, key := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(max(0, int64(s.owes[key])-now-most))
}

func (b *budgets) rememberLocked(s *budgetShard, key uint64, until, now int64) {
	if _, known := s.owes[key]; !known && len(s.owes) >= s.full {
		if len(s.owes) < maxDebts || now-s.swept >= int64(sweepEvery) { // or each newcomer would pay for a look at all
			s.sweepLocked(now)
		}
		if len(s.owes) >= maxDebts {
			b.forgone.Add(1)
			return
		}
	}
	s.owes[key] = bucket(until)
}

// sweepLocked forgets those that owe nothing any more.
func (s *budgetShard) sweepLocked(now int64) {
	had := len(s.owes)
	s.swept = now
	for key, until := range s.owes {
		if int64(until) <= now {
			delete(s.owes, key)
		}
	}
	if n := len(s.owes); had > fewDebts && n < had/2 { // a map does not shrink by itself
		kept := make(map[uint64]bucket, n)
		for key, until := range s.owes {
			kept[key] = until
		}
		s.owes = kept
	}
	s.full = min(maxDebts, max(fewDebts, 2*len(s.owes)))
}

// sweep looks through one shard, the next one each time.
func (b *budgets) sweep(now int64) {
	s := &b.shards[b.next.Add(1)%budgetShards]
	s.mu.Lock()
	s.sweepLocked(now)
	s.mu.Unlock()
}

// debts is how many are remembered, those that are paid off and not forgotten yet included.
func (b *budgets) debts() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.owes)
		s.mu.Unlock()
	}
	return n
}

// overBudget is why a room is not joined that would cost more than there is left.
type overBudget struct {
	what  string
	retry time.Duration
}

// Error says what the budget is for.
func (e *overBudget) Error() string { return "rate limited: " + e.what }

// charge counts what a request costs its connection and user.
func (h *handler) charge(c conn, user string, n int64, now int64) (paceVerdict, time.Duration) {
	return h.chargeFew(c, user, n, n, now)
}

// chargeFew is charge for n units, only few of which are counted where they are not refused.
func (h *handler) chargeFew(c conn, user string, n, few, now int64) (paceVerdict, time.Duration) {
	b := h.limit.budgets
	v, retry := b.chargeFew(payer{kind: payConn, conn: c.ID()}, b.conn.requests, n, few, now)
	if v == paceOK && user != "" && n > costMessage {
		v, retry = b.chargeFew(payer{kind: payUser, name: user}, b.user.requests, n, few, now)
	}
	return v, retry
}

// spend counts what an answer has cost: the rooms in it that the request did not name, and bytes.
func (h *handler) spend(c conn, user string, rooms, bytes int) {
	b, now := h.limit.budgets, h.elapsed(time.Now())
	n := int64(max(0, rooms) + bytes/costReplied)
	b.spend(payer{kind: payConn, conn: c.ID()}, b.conn.requests, n, now)
	if user != "" {
		b.spend(payer{kind: payUser, name: user}, b.user.requests, n, now)
	}
}

// address is who pays for bad tokens.
func address(c conn) payer {
	a := c.Remote().Addr()
	if a.Is6() { // a host has a /64 to itself
		p, _ := a.Prefix(64) // cannot fail: 64 is in range
		a = p.Addr()
	}
	return payer{kind: payAddress, name: string(a.AsSlice())}
}

// wornOut is how long until tokens from the address are checked again; 0: they are. It counts the
// one that is not.
func (h *handler) wornOut(c conn) time.Duration {
	b := h.limit.budgets
	wait := b.over(address(c), b.tokens.burst, h.elapsed(time.Now()))
	if wait > 0 {
		h.overLimit(c, limitTokens, "")
	}
	return wait
}

// badToken counts a token that was bad against the address that it came from: there is no user
// yet who could pay.
func (h *handler) badToken(c conn) {
	b := h.limit.budgets
	b.spend(address(c), b.tokens, 1, h.elapsed(time.Now()))
}

// overLimit counts a limit that a connection hit, and logs it once a minute.
func (h *handler) overLimit(c conn, k limitKind, user string) {
	h.limit.hit(k)
	h.logOnce(c, k, user)
}

// logOnce logs a limit that a connection hit, once a minute.
func (h *handler) logOnce(c conn, k limitKind, user string) {
	line := payer{kind: payLog, conn: c.ID(), name: k.String()}
	minute := pace{int64(time.Minute), 0}
	if v, _ := h.limit.budgets.charge(line, minute, 1, h.elapsed(time.Now())); v == paceOK {
		h.logLimit(c, k, user)
	}
}

// snapshotBegins is called before a room's last values are sent. A client that owes for a
// whole budget of them waits. So does one that had those of the same room a moment ago. It
// runs on loops.
func (h *handler) snapshotBegins(c conn, room string, keys int) error {
	b, user, now := h.limit.budgets, h.user(c), h.elapsed(time.Now())
	if b.conn.snapshots.each == 0 {
		return nil
	}
	wait := b.over(payer{kind: paySnapshots, conn: c.ID()}, b.conn.snapshots.burst, now)
	wait = max(wait, b.over(payer{kind: payRoom, conn: c.ID(), name: room}, 0, now))
	if user != "" && b.user.snapshots.each > 0 {
		wait = max(wait, b.over(payer{kind: payUserSnapshot, name: user}, b.user.snapshots.burst, now))
	}
	if wait > 0 {
		h.overLimit(c, limitSnapshots, user)
		b.spend(payer{kind: payConn, conn: c.ID()}, b.conn.requests, costRefused, now)
		return &overBudget{"this connection or user was sent many snapshots, or this one a moment ago", wait}
	}
	h.snapshotSent(c, room, costKey*int64(keys))
	return nil
}

// snapshotSent counts bytes of a room's last values that were sent. It runs on loops.
func (h *handler) snapshotSent(c conn, room string, n int64) {
	b, user, now := h.limit.budgets, h.user(c), h.elapsed(time.Now())
	if b.conn.snapshots.each == 0 || n <= 0 {
		return
	}
	b.spend(payer{kind: paySnapshots, conn: c.ID()}, b.conn.snapshots, n, now)
	if n > smallWalk {
		b.spend(payer{kind: payRoom, conn: c.ID(), name: room}, b.conn.snapshots, n, now)
	}
	if user != "" {
		b.spend(payer{kind: payUserSnapshot, name: user}, b.user.snapshots, n, now)
	}
}
