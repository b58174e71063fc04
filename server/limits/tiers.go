package limits

import (
	"cmp"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"tapecast/server/config"
)

// Tier numbers a row of limits. 0 is that of accounts without a tier. A name has the same number for
// as long as the process lives, so that a session can hold it in a few bits.
type Tier uint8

// Row is what an account of one tier may take. It does not change once made.
type Row struct {
	// ConnectionsPerUser and the others are as in config.Limits.
	ConnectionsPerUser, RoomsPerConnection, RoomsPerUser, Wildcards, RoomsPerWildcard int
	// BytesPerSecond is as in config.Limits too.
	BytesPerSecond int64
	// EmptyRooms and RecallBytes are as in rooms.Payer.
	EmptyRooms  int
	RecallBytes int64

	messages   pace
	conn, user budget
	recall     pace // of a connection, by bytes
}

// rows are the limits of all tiers. SetTiers replaces them, and whoever uses a row takes it again for
// each request.
type rows struct {
	mu  sync.Mutex // held by SetTiers
	now atomic.Pointer[rowTable]
}

type rowTable struct {
	by   map[string]Tier // tiers of the configuration
	all  map[string]Tier // every name since the start
	rows []*Row
}

func newRow(t config.Tier) *Row {
	r := &Row{
		ConnectionsPerUser: t.ConnectionsPerUser, RoomsPerConnection: t.RoomsPerConnection,
		RoomsPerUser: t.RoomsPerUser, Wildcards: t.WildcardsPerConnection, RoomsPerWildcard: t.RoomsPerWildcard,
		BytesPerSecond: int64(t.BytesPerSecond), recall: bytesPace(float64(t.RecallBytesPerConnection)),
		EmptyRooms: cmp.Or(t.EmptyRooms, -1), RecallBytes: cmp.Or(int64(t.RecallBytes), -1),
		messages: newPace(t.MessagesPerSecond, t.Burst),
		conn:     budget{newPace(t.RequestCost, t.RequestBurst), bytesPace(float64(t.SnapshotBytes))},
	}
	if n := t.UserBudgets; n > 0 {
		burst := int(min(float64(t.RequestBurst)*n, 1<<30)) // newPace takes less
		r.user = budget{newPace(t.RequestCost*n, burst), bytesPace(float64(t.SnapshotBytes) * n)}
	}
	return r
}

// SetTiers takes the rows of a configuration, and the limits of accounts without a tier. Clients that
// are connected have them from their next request on. A tier that is gone has the limits of accounts
// without one. After an error nothing has changed.
func (l *Limiter) SetTiers(cfg *config.Limits) error {
	r := &l.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.now.Load()
	if was == nil {
		was = &rowTable{}
	}
	next := &rowTable{by: map[string]Tier{}, all: maps.Clone(was.all)}
	if next.all == nil {
		next.all = map[string]Tier{}
	}
	for name := range cfg.Tiers {
		n, known := next.all[name]
		if !known {
			if n = Tier(len(next.all) + 1); n > config.MaxTiers {
				return fmt.Errorf("there have been more than %d tiers since the start: restart the node",
					config.MaxTiers)
			}
			next.all[name] = n
		}
		next.by[name] = n
	}
	none := newRow(cfg.Untiered())
	next.rows = make([]*Row, len(next.all)+1)
	for i := range next.rows {
		next.rows[i] = none
	}
	for name, n := range next.by {
		next.rows[n] = newRow(cfg.Tiers[name])
	}
	r.now.Store(next)
	return nil
}

// TierOf returns the tier of a name. ok is false if no row has it.
func (l *Limiter) TierOf(name string) (t Tier, ok bool) {
	t, ok = l.rows.now.Load().by[name]
	return t, ok
}

// Tiered reports whether there are any tiers.
func (l *Limiter) Tiered() bool { return len(l.rows.now.Load().by) > 0 }

// Row returns the limits of a tier as they are now.
func (l *Limiter) Row(t Tier) *Row {
	all := l.rows.now.Load().rows
	if int(t) >= len(all) {
		t = 0
	}
	return all[t]
}
