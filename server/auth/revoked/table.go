package revoked

import "maps"

// table is all revocations of a topic.
type table struct {
	users   map[string]entry
	tokens  map[uint64]entry // by the hash of jti
	all     entry            // before is 0: there is none
	bytes   int              // of the names in users
	bad     map[string]bad   // by key: those whose newest record is bad
	manyBad bool             // there were more bad keys than are kept
	lost    int              // records that were not kept, since there were too many
	lifted  map[string]entry // while the topic is read: keys whose newest record so far lifts; then nil
}

// entry is the newest record of a key.
type entry struct {
	before int64 // ms since 1970; tokens that were issued earlier are refused
	time   int64 // the record's timestamp, ms
	part   int32 // the partition that it came from
}

// bad is a record that was not understood.
type bad struct {
	part   int32
	offset int64
	why    error
	strict bool // its user or token is refused altogether
}

func newTable() *table {
	return &table{users: map[string]entry{}, tokens: map[uint64]entry{}, bad: map[string]bad{},
		lifted: map[string]entry{}}
}

// kept is the partition of entries that no log has any more. Only a later record replaces them.
const kept = -1

// clone returns what a table has, to be kept while a topic is read that may lack its records.
func (t *table) clone() *table {
	c := newTable()
	c.bytes, c.all, c.bad, c.manyBad = t.bytes, t.all, maps.Clone(t.bad), t.manyBad
	for name, e := range t.users {
		e.part = kept
		c.users[name] = e
	}
	for id, e := range t.tokens {
		e.part = kept
		c.tokens[id] = e
	}
	c.all.part = kept
	return c
}

func (t *table) entries() int {
	n := len(t.users) + len(t.tokens)
	if t.all.before > 0 {
		n++
	}
	return n
}

// find returns the entry of a key.
func (t *table) find(k kind, name string, hash uint64) (e entry, ok bool) {
	switch k {
	case ofUser:
		e, ok = t.users[name]
	case ofToken:
		e, ok = t.tokens[hash]
	default:
		e, ok = t.all, t.all.before > 0
	}
	return e, ok
}

// newer reports whether a record replaces the entry of its key.
func (e entry) newer(was entry) bool {
	if e.part == was.part || e.time > was.time {
		return true
	}
	return e.time == was.time && e.before > was.before
}

// put sets the entry of a key, or removes it if before is 0. It returns false if the table is full.
func (t *table) put(k kind, name string, hash uint64, e entry, most Bounds) bool {
	_, had := t.find(k, name, hash)
	switch {
	case k == ofAll:
		t.all = e
		return true
	case e.before == 0 && k == ofUser:
		if delete(t.users, name); had {
			t.bytes -= len(name)
		}
		return true
	case e.before == 0:
		delete(t.tokens, hash)
		return true
	case !had && (len(t.users)+len(t.tokens) >= most.Entries || k == ofUser && t.bytes+len(name) > most.Bytes):
		return false
	case k == ofUser:
		if t.users[name] = e; !had {
			t.bytes += len(name)
		}
	default:
		t.tokens[hash] = e
	}
	return true
}

// judge returns why a token is refused, or nil.
func (t *table) judge(user string, id uint64, issued uint32) error {
	at := int64(issued) * 1000
	if e, ok := t.users[user]; ok {
		switch {
		case e.before == always:
			return ErrUser
		case at < e.before:
			return ErrToken
		}
	}
	if at < t.all.before {
		return ErrToken
	}
	if id != 0 {
		if e, ok := t.tokens[id]; ok && at < e.before {
			return ErrToken
		}
	}
	return nil
}
