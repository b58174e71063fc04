package revoked

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Why a token is refused, in words for its client.
var (
	// ErrUser: the user is refused until that is lifted. A new token does not help.
	ErrUser = errors.New("this user's access was revoked")
	// ErrToken: a token that was issued later may be accepted.
	ErrToken = errors.New("the token was revoked: get a new one")
	// ErrUnread: the revocations are not known yet, so that no token can be judged.
	ErrUnread = errors.New("which tokens are revoked is not known here yet")
)

// Bounds are the most that a List keeps. Zero means the default that the comment states.
type Bounds struct {
	// Entries is the number of users and tokens. Zero means 1,048,576.
	Entries int
	// Bytes is the length of all users' names together. Zero means 64 MiB.
	Bytes int
}

// maxBad is how many bad keys are told apart.
const maxBad = 1024

// List is all revocations, as the topic has them. doc.go says who may call what. A nil List revokes
// nothing.
type List struct {
	most Bounds
	seed maphash.Seed
	log  *slog.Logger

	mu  sync.RWMutex
	now *table // what tokens are judged by; nil: the topic was not read yet

	// The reader's own.
	next   *table // what is being read from the beginning; nil: nothing is
	said   time.Time
	unsaid int
	again  time.Time // when the topic may be read again since it did not fit

	changed              chan struct{}
	records, bad, remade atomic.Uint64
	refused, closed      atomic.Uint64
}

// NewList returns a List that was not read yet.
func NewList(most Bounds, log *slog.Logger) *List {
	if most.Entries <= 0 {
		most.Entries = 1 << 20
	}
	if most.Bytes <= 0 {
		most.Bytes = 64 << 20
	}
	return &List{most: most, seed: maphash.MakeSeed(), log: log, changed: make(chan struct{}, 1)}
}

// Mark is what a connection remembers of its token, in 12 bytes.
type Mark struct {
	ID     uint64 // hash of jti; 0: it has none
	Issued uint32 // in seconds since 1970, at most 2^32-1 (the year 2106); 0: it does not say
}

// Mark returns what a connection remembers of a token with that jti ("": none) and iat (0: none).
func (l *List) Mark(jti string, issued int64) Mark {
	if l == nil {
		return Mark{}
	}
	m := Mark{Issued: uint32(max(0, min(issued, math.MaxUint32)))}
	if jti != "" {
		m.ID = l.hash(jti)
	}
	return m
}

// Only returns a list of one record, for the marks that l made. It is an error if the record does not
// say what it revokes.
func (l *List) Only(key, value string) (*List, error) {
	k, _, err := parseKey([]byte(key))
	if err == nil {
		_, err = parseValue(k, []byte(value))
	}
	if err != nil {
		return nil, err
	}
	one := &List{most: l.most, seed: l.seed, log: l.log, changed: make(chan struct{}, 1)}
	one.Begin(false)
	one.Record(0, 0, 0, false, []byte(key), []byte(value))
	one.Whole()
	return one, nil
}

// hash is never 0.
func (l *List) hash(jti string) uint64 { return max(1, maphash.String(l.seed, jti)) }

// Judge returns why a token is refused, or nil.
func (l *List) Judge(user string, m Mark) error {
	if l == nil {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.now == nil {
		return ErrUnread
	}
	return l.now.judge(user, m.ID, m.Issued)
}

// Changed receives a value after something was revoked: connections must be judged again.
func (l *List) Changed() <-chan struct{} { return l.changed }

func (l *List) touch() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Begin is called before the topic is read from its beginning. remade means that it is another topic
// than before, or that its log was cut. What was revoked then stays revoked: its records may be lost,
// and nobody has lifted them.
func (l *List) Begin(remade bool) {
	l.next = newTable()
	if remade && l.now != nil {
		l.next = l.now.clone()
		l.remade.Add(1)
		l.log.Warn("the topic of revocations was made again, or cut; what was revoked before stays so until it is "+
			"lifted, or the gateway starts again", "entries", l.next.entries())
	}
}

// Record takes a record. value is nil for a tombstone. fresh means that it was written after the
// reading began.
func (l *List) Record(part int32, offset, ms int64, fresh bool, key, value []byte) {
	l.records.Add(1)
	k, name, why := parseKey(key)
	e := entry{time: ms, part: part}
	if why == nil && value != nil {
		if e.before, why = parseValue(k, value); why != nil && k != ofAll {
			e.before = always
		}
	}
	if why != nil && value != nil {
		l.bad.Add(1)
		l.say(part, offset, key, why)
	}
	r := record{kind: k, name: name, entry: e, key: string(key[:min(len(key), maxName)]),
		bad: bad{part, offset, why, e.before == always}, lifts: value == nil}
	if k == ofToken {
		r.hash = l.hash(name)
	}
	if l.next != nil {
		l.apply(l.next, &r)
	}
	if l.now == nil || l.next != nil && !fresh {
		return
	}
	l.mu.Lock()
	stricter := l.apply(l.now, &r)
	l.mu.Unlock()
	if stricter {
		l.touch()
	}
}

// record is a record that was parsed.
type record struct {
	kind  kind
	name  string
	hash  uint64
	entry entry
	key   string
	bad   bad // bad.why is nil for a good one
	lifts bool
}

// apply puts a record into a table. It reports whether more is refused than before.
func (l *List) apply(t *table, r *record) (stricter bool) {
	if r.bad.why != nil && !r.lifts {
		if _, known := t.bad[r.key]; known || len(t.bad) < maxBad {
			t.bad[r.key] = r.bad
		} else {
			t.manyBad = true
		}
	} else {
		delete(t.bad, r.key)
	}
	if r.bad.why != nil && !r.bad.strict { // its key or its time is not known
		return false
	}
	was, had := t.find(r.kind, r.name, r.hash)
	if !had {
		was, had = t.lifted[r.key]
	}
	if had && !r.entry.newer(was) {
		return false
	}
	if t.lifted != nil {
		if delete(t.lifted, r.key); r.entry.before == 0 && len(t.lifted) < l.most.Entries {
			t.lifted[r.key] = r.entry
		}
	}
	if !t.put(r.kind, r.name, r.hash, r.entry, l.most) {
		t.lost++
		l.say(r.bad.part, r.bad.offset, []byte(r.key), errFull)
		return false
	}
	return r.entry.before > was.before
}

var errFull = errors.New("there are more revocations than are kept: this one does not hold here")

// say logs a record that does not hold as it was meant, one a second.
func (l *List) say(part int32, offset int64, key []byte, why error) {
	if l.unsaid++; time.Since(l.said) < time.Second {
		return
	}
	l.log.Error("a record of auth.revocations does not hold as it stands", "partition", part, "offset", offset,
		"key", string(key[:min(len(key), 200)]), "why", why, "records", l.unsaid)
	l.said, l.unsaid = time.Now(), 0
}

// Whole is called when all that the topic had at Begin was given to Record.
func (l *List) Whole() {
	next := l.next
	l.next = nil
	if next == nil {
		return
	}
	next.lifted = nil
	l.mu.Lock()
	l.now = next
	l.mu.Unlock()
	l.touch()
}

// againAfter is the least time between two readings of a topic that did not fit.
const againAfter = time.Minute

// Again reports whether the topic should be read from its beginning, since what did not fit now may.
func (l *List) Again() bool {
	if l.now == nil || l.next != nil || l.now.lost == 0 || time.Since(l.again) < againAfter {
		return false
	}
	fits := func(has, most int) bool { return has < most-most/10 }
	if !fits(l.now.entries(), l.most.Entries) || !fits(l.now.bytes, l.most.Bytes) {
		return false
	}
	l.again = time.Now()
	return true
}

// Refused counts a token that was refused, and Closed a connection that was closed.
func (l *List) Refused() { l.refused.Add(1) }

// Closed counts a connection that was closed.
func (l *List) Closed() { l.closed.Add(1) }

// Stats are the figures of a List.
type Stats struct {
	Read    bool   // the topic was read whole once
	Entries int    // what is revoked: users, tokens, and all tokens
	Lost    int    // records that do not hold since there are too many
	Bad     int    // keys whose newest record was not understood; 1025 are that or more
	BadText string // one of them, with its reason; "": there is none

	Records, BadRecords uint64 // that were read, also those read again
	Refused, Closed     uint64 // tokens and connections
	Remade              uint64 // times that the topic was made again
}

// Stats returns the figures. A nil List has none.
func (l *List) Stats() (s Stats) {
	if l == nil {
		return s
	}
	s.Records, s.BadRecords, s.Remade = l.records.Load(), l.bad.Load(), l.remade.Load()
	s.Refused, s.Closed = l.refused.Load(), l.closed.Load()
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.now == nil {
		return s
	}
	s.Read, s.Entries, s.Lost, s.Bad = true, l.now.entries(), l.now.lost, len(l.now.bad)
	if l.now.manyBad {
		s.Bad++ // or more
	}
	least := ""
	for key := range l.now.bad {
		if least == "" || key < least {
			least = key
		}
	}
	if b, ok := l.now.bad[least]; ok && s.Bad > 0 {
		s.BadText = fmt.Sprintf("key %.200q, partition %d, offset %d: %v", least, b.part, b.offset, b.why)
		if b.strict {
			s.BadText += "; what it names is refused altogether"
		}
	}
	return s
}
