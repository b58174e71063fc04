package limits

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/server/config"
)

// What a request costs, in units. One unit is a room that it names, which takes a loop, an appender
// and a poller about 5 µs together, and 150 bytes of the reply.
const (
	CostMessage = 1
	CostRefused = 100       // for a request over the budget: a client is closed after 50 of them
	CostBytes   = 512       // this many bytes of a request cost one unit
	costReplied = 1 << 10   // this many bytes of a reply cost one unit
	costKey     = 64        // bytes that each key of a snapshot counts, whether it is sent or not
	smallWalk   = 256 << 10 // bytes up to which the same snapshot may be repeated at once
)

// budget is how much one payer may cause.
type budget struct {
	requests  pace
	snapshots pace // by bytes
}

// budgets bounds what clients may cause by valid requests: a connection, and a user with all
// connections. A payer's debt is remembered until it is paid off, also after the connection has
// ended. Any goroutine may use it. A lock is held for one look into a map, and there are many
// locks.
type budgets struct {
	tokens pace // bad tokens of one address

	seed    maphash.Seed
	shards  [budgetShards]budgetShard
	next    atomic.Uint32 // the shard to sweep next
	forgone atomic.Uint64 // debts that were not remembered
}

const (
	budgetShards = 64
	// maxDebts is how many debts a shard remembers: 262,144 in all, about 9 MB.
	maxDebts = 1 << 12
	// fewDebts is how many debts a shard may have without being swept.
	fewDebts = 256
	// sweepEvery is the least time between two sweeps of a shard that is full.
	sweepEvery = time.Second
)

type budgetShard struct {
	mu    sync.Mutex
	owes  map[uint64]Bucket
	full  int   // it is swept when it has this many
	swept int64 // when it was last swept
}

// payer is who owes, and for what. Debts of different kinds are not added up. Nor are those of different
// tiers: a debt is a time, and what is nothing to pay off at one pace is a reason to be closed at another.
type payer struct {
	kind payerKind
	conn uint64
	name string
	at   pace // of the tier; zero: the debt has nothing to do with tiers
}

type payerKind uint8

const (
	payConn payerKind = iota
	payUser
	payAddress
	paySnapshots    // of a connection
	payUserSnapshot // of a user
	payRoom         // of a connection, for one room
	payLog          // log lines about one limit and connection
	payToken        // a refused token with a good signature
	payStrikes      // times that an address was worn out
	payBlocked      // an address that was worn out, until it may come again
	payConnects     // clients that come from an address
	payRecall       // messages that were read again for a connection
)

func newBudgets(l *config.Limits) *budgets {
	b := &budgets{seed: maphash.MakeSeed()}
	if n := l.BadTokensPerSecond; n > 0 {
		b.tokens = newRate(n)
	}
	for i := range b.shards {
		b.shards[i].owes, b.shards[i].full = map[uint64]Bucket{}, fewDebts
	}
	return b
}

// bytesPace returns the pace for that many bytes a minute, and as many at once.
func bytesPace(perMinute float64) pace {
	if perMinute <= 0 {
		return pace{}
	}
	return pace{each: max(1, int64(float64(time.Minute)/perMinute)), burst: int64(time.Minute)}
}

// cost returns what n units cost, in ns.
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

// charge counts n units against the payer. Without debt it may cause any number. Otherwise a request
// beyond the burst is refused, is told when to come again, and costs CostRefused.
func (b *budgets) charge(p payer, rule pace, n, now int64) (v Verdict, retry time.Duration) {
	return b.chargeFew(p, rule, n, n, now)
}

// chargeFew is charge for n units, of which only few are counted if they are not refused.
func (b *budgets) chargeFew(p payer, rule pace, n, few, now int64) (v Verdict, retry time.Duration) {
	if rule.each == 0 {
		return OK, 0
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
		return OK, 0
	}
	if n > CostMessage { // a ping does not count as a further request
		n = CostRefused
	}
	owed += rule.cost(n)
	b.rememberLocked(s, key, now+owed, now)
	if owed > 2*rule.burst {
		return Far, 0
	}
	return Over, time.Duration(max(owed-max(0, rule.burst-cost), int64(time.Millisecond)))
}

func (b *budgets) spend(p payer, rule pace, n, now int64) {
	if rule.each == 0 || n <= 0 {
		return
	}
	s, key := b.shard(p)
	s.mu.Lock()
	b.rememberLocked(s, key, max(int64(s.owes[key]), now)+rule.cost(n), now)
	s.mu.Unlock()
}

// over returns how long it takes until the payer owes no more than most ns.
func (b *budgets) over(p payer, most, now int64) time.Duration {
	s, key := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(max(0, int64(s.owes[key])-now-most))
}

func (b *budgets) rememberLocked(s *budgetShard, key uint64, until, now int64) {
	if _, known := s.owes[key]; !known && len(s.owes) >= s.full {
		if len(s.owes) < maxDebts || now-s.swept >= int64(sweepEvery) { // or each new payer would sweep the whole shard
			s.sweepLocked(now)
		}
		if len(s.owes) >= maxDebts {
			b.forgone.Add(1)
			return
		}
	}
	s.owes[key] = Bucket(until)
}

func (s *budgetShard) sweepLocked(now int64) {
	had := len(s.owes)
	s.swept = now
	for key, until := range s.owes {
		if int64(until) <= now {
			delete(s.owes, key)
		}
	}
	if n := len(s.owes); had > fewDebts && n < had/2 { // a map never shrinks
		kept := make(map[uint64]Bucket, n)
		for key, until := range s.owes {
			kept[key] = until
		}
		s.owes = kept
	}
	s.full = min(maxDebts, max(fewDebts, 2*len(s.owes)))
}

// Sweep sweeps one shard, the next one each time.
func (b *budgets) Sweep(now int64) {
	s := &b.shards[b.next.Add(1)%budgetShards]
	s.mu.Lock()
	s.sweepLocked(now)
	s.mu.Unlock()
}

// Debts returns how many debts are remembered, including those that are paid off and not swept yet.
func (b *budgets) Debts() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.owes)
		s.mu.Unlock()
	}
	return n
}
