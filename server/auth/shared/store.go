package shared

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxPuts is how many entries wait to be stored. One has MaxEntry bytes and some at most.
	maxPuts = 1024
	// maxBatch is how many of them are stored by one request.
	maxBatch = 64
	// saidEvery is the least time between two lines of the log about entries that do not open.
	saidEvery = time.Minute
)

// Store is what the nodes of a cluster share. doc.go says who may call what.
type Store struct {
	set           atomic.Pointer[settings]
	reads, writes *breaker
	renew         atomic.Bool                  // what is connected may lead nowhere, or elsewhere
	client        atomic.Pointer[redis.Client] // nil: Run is not under way
	puts          chan put

	saidAt atomic.Int64 // when an entry that did not open was last logged, in ms

	hits, misses, skipped, forged, over, stored, lost atomic.Uint64
}

// settings lead to Redis, and to the entries there. They do not change once made.
type settings struct {
	Config
	seal *sealer
}

// put is an entry on its way to Redis.
type put struct {
	name  string
	entry []byte
	until time.Time
}

// New returns a store.
func New(cfg Config) (*Store, error) {
	s := &Store{puts: make(chan put, maxPuts)}
	if err := s.use(cfg); err != nil {
		return nil, err
	}
	s.reads = newBreaker("auth.redis, look-ups", cfg.Log, &s.renew)
	s.writes = newBreaker("auth.redis, stores", cfg.Log, &s.renew)
	return s, nil
}

func (s *Store) use(cfg Config) error {
	if len(cfg.Secret) < LeastSecret {
		return errors.New("the secret is too short")
	}
	seal, err := newSealer(cfg.Secret, cfg.Scope)
	if err == nil {
		s.set.Store(&settings{cfg, seal})
	}
	return err
}

// Change takes another configuration, but for Log and Dial. What is under way with the old one may end
// without an answer, and Run connects anew within tryEvery. changed is false if it is as it was. After an
// error the old one stays.
func (s *Store) Change(cfg Config) (changed bool, err error) {
	was := s.set.Load()
	cfg.Log, cfg.Dial = was.Log, was.Dial
	if was.same(&cfg) {
		return false, nil
	}
	if err := s.use(cfg); err != nil {
		return false, err
	}
	s.renew.Store(true)
	return true, nil
}

// Usable reports whether Look asks Redis now.
func (s *Store) Usable() bool { return s.client.Load() != nil && s.reads.closed() }

// Look returns what another node was told about a token. It waits for Config.Timeout at most.
func (s *Store) Look(ctx context.Context, token string) (e Entry, found bool) {
	client, set := s.client.Load(), s.set.Load()
	end, ends := ctx.Deadline()
	if client == nil || !s.reads.closed() || ends && time.Until(end) < set.Timeout {
		s.skipped.Add(1)
		return e, false
	}
	ctx, cancel := context.WithTimeout(ctx, set.Timeout)
	defer cancel()
	text, err := s.reads.do(func() (string, error) {
		text, err := client.Get(ctx, set.seal.name(token)).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") { // somebody else stores there
			text, err = "?", nil
		}
		return text, err
	})
	switch {
	case err != nil:
		return e, false
	case text == "":
		s.misses.Add(1)
		return e, false
	}
	if e, err = set.seal.open(token, []byte(text)); err == nil {
		err = e.good(time.Now(), set.Keep+set.Skew)
	}
	if err != nil {
		s.say(err)
		return Entry{}, false
	}
	s.hits.Add(1)
	return e, true
}

// say counts an entry that is not used, and logs the first of a minute.
func (s *Store) say(err error) {
	counter, text := &s.over, "an entry in Redis is not used"
	if errors.Is(err, errForged) {
		counter, text = &s.forged, "an entry in Redis is refused: somebody else writes there"
	}
	counter.Add(1)
	now, last := time.Now().UnixMilli(), s.saidAt.Load()
	if now-last >= saidEvery.Milliseconds() && s.saidAt.CompareAndSwap(last, now) {
		set := s.set.Load()
		set.Log.Warn(text, "address", set.Address, "error", err, "forged", s.forged.Load(), "over", s.over.Load())
	}
}

// Put has an answer stored for other nodes. If it cannot be, they ask the service themselves.
func (s *Store) Put(token string, e Entry) {
	set := s.set.Load()
	if most := time.Now().Add(set.Keep); most.Before(e.Until) {
		e.Until = most
	}
	if len(e.User)+len(e.Claims) > MaxEntry || s.client.Load() == nil || !s.writes.closed() {
		s.lost.Add(1)
		return
	}
	select {
	case s.puts <- put{set.seal.name(token), set.seal.seal(token, e), e.Until}:
	default:
		s.lost.Add(1)
	}
}

// Run stores entries and tries Redis, until ctx is done.
func (s *Store) Run(ctx context.Context) {
	s.renew.Store(false)
	s.client.Store(s.set.Load().client())
	var writer sync.WaitGroup
	writer.Go(func() { s.write(ctx) })
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.try(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	s.client.Swap(nil).Close()
	writer.Wait()
}

// try makes both commands, unless a breaker is open. After it has opened, and after Change, new connections
// are made.
func (s *Store) try(ctx context.Context) {
	client, set := s.client.Load(), s.set.Load()
	if s.renew.Swap(false) {
		old := client
		set = s.set.Load() // not before renew was read
		client = set.client()
		s.client.Store(client)
		old.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*set.Timeout)
	defer cancel()
	_, _ = s.reads.do(func() (string, error) { return "", get(ctx, client, probe) }) // they take note
	_, _ = s.writes.do(func() (string, error) { return client.Set(ctx, probe, "", probeFor).Result() })
}

// write stores what is in the queue.
func (s *Store) write(ctx context.Context) {
	batch := make([]put, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return
		case p := <-s.puts:
			batch = append(batch, p)
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case p := <-s.puts:
				batch = append(batch, p)
			default:
				more = false
			}
		}
		s.flush(ctx, batch)
	}
}

// flush stores a batch, and counts each entry.
func (s *Store) flush(ctx context.Context, batch []put) {
	stored := 0
	client := s.client.Load()
	if client != nil && s.writes.closed() {
		ctx, cancel := context.WithTimeout(ctx, s.set.Load().Timeout)
		defer cancel()
		_, _ = s.writes.do(func() (string, error) { // it takes note
			request := client.Pipeline()
			for i := range batch {
				if left := time.Until(batch[i].until); left >= time.Millisecond {
					request.Set(ctx, batch[i].name, batch[i].entry, left)
				}
			}
			if request.Len() == 0 {
				return "", nil
			}
			answers, err := request.Exec(ctx)
			for _, a := range answers {
				if a.Err() == nil {
					stored++
				}
			}
			return "", err
		})
	}
	s.stored.Add(uint64(stored))
	s.lost.Add(uint64(len(batch) - stored))
}

// Stats is what a store has done, and how Redis is.
type Stats struct {
	Hits    uint64 // tokens that another node has asked about
	Misses  uint64 // tokens that are not in Redis
	Skipped uint64 // tokens that were not looked up: the breaker is not closed, or their time is nearly over
	Failed  uint64 // commands that failed: look-ups, stores and tries
	Forged  uint64 // entries that no gateway with this secret has stored
	Over    uint64 // entries whose time is over, or too far ahead
	Stored  uint64 // entries
	Lost    uint64 // entries that were not stored: they are too large, too many, or Redis did not take them
	Waiting int    // entries that wait to be stored

	Reads, Writes       string // the breakers: closed, half-open or open
	WhyReads, WhyWrites error  // why the last command of each failed; nil: it did not
}

// Stats returns the figures of this moment.
func (s *Store) Stats() Stats {
	return Stats{Hits: s.hits.Load(), Misses: s.misses.Load(), Skipped: s.skipped.Load(),
		Failed: s.reads.failed.Load() + s.writes.failed.Load(), Forged: s.forged.Load(), Over: s.over.Load(),
		Stored: s.stored.Load(), Lost: s.lost.Load(), Waiting: len(s.puts), Reads: s.reads.State().String(),
		Writes: s.writes.State().String(), WhyReads: s.reads.why(), WhyWrites: s.writes.why()}
}

// Trouble says what is wrong with Redis, or "".
func (s *Stats) Trouble() string {
	var parts []string
	if s.Reads != "closed" {
		parts = append(parts, "tokens cannot be looked up: "+textOf(s.WhyReads)+" (breaker "+s.Reads+")")
	}
	if s.Writes != "closed" {
		parts = append(parts, "tokens cannot be stored: "+textOf(s.WhyWrites)+" (breaker "+s.Writes+")")
	}
	return strings.Join(parts, "; ")
}

func textOf(err error) string {
	if err == nil {
		return "it is tried again"
	}
	return err.Error()
}
