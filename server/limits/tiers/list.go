package tiers

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"tapecast/server/config"
)

const (
	// maxKeys is how many keys of the topic are kept. There are no more names of tiers than
	// config.MaxTiers, and the rest are mistakes.
	maxKeys = 1024
	// maxValue bounds a value. A row has some hundred bytes.
	maxValue = 4 << 10
)

// List is the rows that the topic has. doc.go says who may call what.
type List struct {
	set     func(*config.Limits) error
	log     *slog.Logger
	changed chan struct{}
	whole   atomic.Bool // the topic was read whole once

	mu    sync.Mutex
	base  *config.Config  // what the topic does not set; it never changes once here
	had   map[string]bool // names that the Limiter has a number for, since it took rows of them
	now   *table          // nil: the topic was not read yet
	next  *table          // what is being read from the beginning; nil: nothing is
	stats Stats
	again time.Time // when the topic may be read again since it had too many keys

	said, told     time.Time // when a line about a bad record was logged, and one about good ones
	unsaid, untold int
}

// table is the newest record of each key.
type table struct {
	rows map[string]*row
	lost int // records that were not kept, since there were too many keys
}

// row is the newest record of a key, and the newest good one.
type row struct {
	value []byte      // of the newest good record; nil: the configuration's row counts
	tier  config.Tier // what it says
	gone  bool        // the newest record has no value
	time  int64       // of the newest record, ms
	part  int32
	at    int64 // its offset
	bad   error // why it does not hold; nil: it does
}

// NewList returns a List that was not read yet. set takes the limits of a configuration with the rows of
// the topic in its tiers. After an error nothing has changed.
func NewList(base *config.Config, set func(*config.Limits) error, log *slog.Logger) *List {
	return &List{base: base, set: set, log: log, changed: make(chan struct{}, 1), had: map[string]bool{}}
}

// Read reports whether the topic was read whole once. A nil List has nothing to read.
func (l *List) Read() bool { return l == nil || l.whole.Load() }

// Changed receives a value after rows have changed.
func (l *List) Changed() <-chan struct{} { return l.changed }

func (l *List) touch() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// SetLimits takes the limits of a configuration that was read again. After an error nothing has changed.
func (l *List) SetLimits(fresh *config.Limits) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, next := l.base, *l.base
	next.Limits = *fresh
	l.base = &next
	var rows map[string]*row
	if l.now != nil {
		rows = l.now.rows
	}
	if err := l.set(l.with(rows)); err != nil {
		l.base = was
		return err
	}
	for name, r := range rows {
		l.readAgain(name, r)
	}
	if l.next != nil {
		for name, r := range l.next.rows {
			l.readAgain(name, r)
		}
	}
	if rows != nil {
		l.takeLocked()
	}
	return nil
}

// readAgain reads the value of a row by another configuration. If it does not fit, the row stays.
func (l *List) readAgain(name string, r *row) {
	if r.value == nil {
		return
	}
	tier, err := l.base.TierRow(name, r.value)
	if err == nil {
		r.tier = tier
	}
	if r.bad != nil && !errors.Is(r.bad, errOutgrown) { // its newest record does not hold in any case
		return
	}
	if r.bad = nil; err != nil {
		r.bad = fmt.Errorf("%w: %w", errOutgrown, err)
		l.say(r, name)
	}
}

var errOutgrown = errors.New("it does not fit the configuration that was read since")

// with returns the configuration's limits with rows of the topic.
func (l *List) with(rows map[string]*row) *config.Limits {
	all := l.base.Limits
	all.Tiers = maps.Clone(l.base.Limits.Tiers)
	if all.Tiers == nil {
		all.Tiers = map[string]config.Tier{}
	}
	for name, r := range rows {
		if r.value != nil {
			all.Tiers[name] = r.tier
		}
	}
	return &all
}

// known returns the rows whose names the Limiter has had before, and takes in any case.
func (l *List) known(all map[string]*row) map[string]*row {
	known := map[string]*row{}
	for name, r := range all {
		if r.value != nil && l.had[name] {
			known[name] = r
		}
	}
	return known
}

// takeLocked gives all rows to the Limiter. Where that has too many names, those that are left over
// count as bad. Rows that it has stay there meanwhile.
func (l *List) takeLocked() {
	defer l.touch()
	if l.set(l.with(l.now.rows)) == nil {
		for name, r := range l.now.rows {
			if r.value != nil {
				l.had[name] = true
			}
		}
		return
	}
	fits := l.known(l.now.rows)
	l.set(l.with(fits)) // cannot fail: no name is new
	for _, name := range slices.Sorted(maps.Keys(l.now.rows)) {
		r := l.now.rows[name]
		if r.value == nil || fits[name] != nil {
			continue
		}
		fits[name] = r
		if err := l.set(l.with(fits)); err != nil {
			delete(fits, name)
			r.value, r.bad = nil, err
			l.stats.BadRecords++
			l.say(r, name)
			continue
		}
		l.had[name] = true
	}
}

// Begin is called before the topic is read from its beginning.
func (l *List) Begin(bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = &table{rows: map[string]*row{}}
}

// Record takes a record. value is nil for a tombstone. fresh means that it was written after the
// reading began.
func (l *List) Record(part int32, offset, ms int64, fresh bool, key, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Records++
	name := string(key[:min(len(key), config.MaxTierName+1)])
	r := row{time: ms, part: part, at: offset, gone: value == nil}
	if value != nil {
		r.tier, r.bad = l.read(name, value)
		if r.bad == nil {
			r.value = slices.Clone(value)
		} else {
			l.stats.BadRecords++
			l.say(&r, name)
		}
	}
	if l.next != nil {
		l.put(l.next, name, r)
	}
	if l.now == nil || l.next != nil && !fresh {
		return
	}
	if !l.put(l.now, name, r) || r.bad != nil {
		return
	}
	if l.next == nil && r.gone {
		delete(l.now.rows, name)
	}
	l.takeLocked()
	l.tell(&r, name)
}

var (
	errName = fmt.Errorf("its key is not the name of a tier: 1 to %d bytes of UTF-8", config.MaxTierName)
	errLong = fmt.Errorf("its value is longer than %d bytes", maxValue)
	errMany = fmt.Errorf("the topic has more than %d keys", maxKeys)
)

func (l *List) read(name string, value []byte) (config.Tier, error) {
	switch {
	case name == "" || len(name) > config.MaxTierName || !utf8.ValidString(name):
		return config.Tier{}, errName
	case len(value) > maxValue:
		return config.Tier{}, errLong
	}
	return l.base.TierRow(name, value)
}

// put puts a record into a table. It reports whether it counts.
func (l *List) put(t *table, name string, r row) bool {
	was := t.rows[name]
	switch {
	case was == nil && len(t.rows) >= maxKeys && r.gone:
		return false
	case was == nil && len(t.rows) >= maxKeys:
		t.lost++
		r.bad = errMany
		l.say(&r, name)
		return false
	case was != nil && was.part != r.part && was.time > r.time:
		return false
	case was != nil && r.bad != nil: // the row stays as it was
		r.value, r.tier = was.value, was.tier
	}
	t.rows[name] = &r
	return true
}

// say logs a record that does not hold, one a second.
func (l *List) say(r *row, name string) {
	if l.unsaid++; time.Since(l.said) < time.Second {
		return
	}
	l.log.Error("a record of limits.tiers_topic does not hold: its tier stays as it was", "tier", name,
		"partition", r.part, "offset", r.at, "why", r.bad, "records", l.unsaid)
	l.said, l.unsaid = time.Now(), 0
}

// tell logs that a record has changed a row, one a second.
func (l *List) tell(r *row, name string) {
	if l.untold++; time.Since(l.told) < time.Second {
		return
	}
	l.log.Info("a record of limits.tiers_topic has changed a tier", "tier", name, "partition", r.part,
		"offset", r.at, "configured", r.gone, "records", l.untold)
	l.told, l.untold = time.Now(), 0
}

// Whole is called when all that the topic had at Begin was given to Record.
func (l *List) Whole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		return
	}
	maps.DeleteFunc(l.next.rows, func(_ string, r *row) bool { return r.gone })
	for name, r := range l.next.rows {
		if r.value == nil && l.now != nil && l.now.rows[name] != nil { // the good record that it has replaced is gone
			r.value, r.tier = l.now.rows[name].value, l.now.rows[name].tier
		}
	}
	l.now, l.next = l.next, nil
	l.takeLocked()
	l.whole.Store(true)
}

// againAfter is the least time between two readings of a topic that had too many keys.
const againAfter = time.Minute

// Again reports whether the topic should be read from its beginning, since what had no place now may.
func (l *List) Again() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil || l.next != nil || l.now.lost == 0 || len(l.now.rows) > maxKeys*9/10 ||
		time.Since(l.again) < againAfter {
		return false
	}
	l.again = time.Now()
	return true
}
