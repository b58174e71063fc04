package rooms

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tapecast/rooms/heartbeat"
)

const maxShards = 64

// Config configures a Table.
type Config struct {
	Catalog *Catalog
	Feeds   []*Feed
	// Shards is the number of appenders. Zero means GOMAXPROCS; 64 at most.
	Shards int
	// Budget bounds the bytes of all tapes together. Zero means 512 MiB. Frames of the last second
	// may take as much again.
	Budget int64
	// LastBudget bounds the bytes of all last values together. Zero means 512 MiB.
	LastBudget int64
	// EmptyRooms bounds the rooms without data that the joins of one user may create. Zero means
	// any number.
	EmptyRooms int
	// Guests is what the names begin with by which clients without a user pay. Together they may have
	// half of the rooms without data that a pattern may have. Empty: no clients are anonymous.
	Guests string
}

// Table holds all rooms of a node, in shards with one appender each. Any goroutine may call its
// methods.
type Table struct {
	cfg    Config
	shards []*shard
	seed   maphash.Seed
	used   atomic.Int64 // bytes of all tapes

	usedLast  atomic.Int64 // bytes of all last values
	fullUntil atomic.Int64 // until when a last value that was evicted is trouble, ms by the clock
	began     time.Time

	payers payers
	flying atomic.Int64 // items on their way to the appenders

	mu        sync.Mutex
	started   bool
	stopped   bool
	listeners atomic.Int32
}

// New returns a table. Start starts its appenders.
func New(cfg Config) (*Table, error) {
	if cfg.Catalog == nil {
		return nil, errors.New("rooms: a table needs a catalog")
	}
	if cfg.Shards < 0 || cfg.Shards > maxShards {
		return nil, fmt.Errorf("rooms: %d shards: choose 1 to %d, or 0 for one per processor", cfg.Shards, maxShards)
	}
	if cfg.Shards == 0 {
		cfg.Shards = min(runtime.GOMAXPROCS(0), maxShards)
	}
	cfg.Budget = orDefault(cfg.Budget, 512<<20)
	cfg.LastBudget = orDefault(cfg.LastBudget, 512<<20)
	t := &Table{cfg: cfg, seed: maphash.MakeSeed(), began: time.Now()}
	t.payers.most, t.payers.n = cfg.EmptyRooms, map[string]int{}
	for i, f := range cfg.Feeds {
		f.index = i
	}
	for i := range cfg.Shards {
		t.shards = append(t.shards, newShard(t, i, len(cfg.Feeds)))
	}
	return t, nil
}

// Start starts the appenders.
func (t *Table) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		panic("BUG: the room table was started twice")
	}
	t.started = true
	for _, s := range t.shards {
		go s.run()
	}
}

// Stop ends the appenders and waits for them. Records in their mailboxes are dropped, and joins are
// answered with ErrStopped.
func (t *Table) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.started || t.stopped {
		return
	}
	t.stopped = true
	for _, s := range t.shards {
		close(s.quit)
		<-s.stopped
	}
}

// Heartbeats returns the appenders' heartbeats. A turn is one batch of records, or one request.
func (t *Table) Heartbeats() []*heartbeat.Counter {
	out := make([]*heartbeat.Counter, 0, len(t.shards))
	for _, s := range t.shards {
		out = append(out, &s.heartbeat)
	}
	return out
}

// Stand makes the first appender stand still for d. It is for tests of the watchdog.
func (t *Table) Stand(d time.Duration) {
	t.shards[0].box.ask(ask{do: func(*shard) { time.Sleep(d) }})
}

// Catalog returns the patterns of the table's rooms.
func (t *Table) Catalog() *Catalog { return t.cfg.Catalog }

// Feeds returns the topics that feed the rooms.
func (t *Table) Feeds() []*Feed { return t.cfg.Feeds }

// clock returns the time that ages are measured by: ms since the table was made. When a wall clock
// is set, it would expire everything at once, or nothing for hours.
func (t *Table) clock() int64 { return time.Since(t.began).Milliseconds() }

func (t *Table) overBudget() bool { return t.used.Load() > t.cfg.Budget }

// shardOf returns the index of the room's shard. The name after the first colon decides, so the
// rooms of one user, or of one symbol, share a shard. A client that joins its seven rooms waits for
// few appenders.
func (t *Table) shardOf(room string) int {
	if i := strings.IndexByte(room, ':'); i >= 0 {
		room = room[i+1:]
	}
	return int(maphash.String(t.seed, room) % uint64(len(t.shards)))
}

func (t *Table) shardOfBytes(room []byte) int {
	if i := bytes.IndexByte(room, ':'); i >= 0 {
		room = room[i+1:]
	}
	return int(maphash.Bytes(t.seed, room) % uint64(len(t.shards)))
}
