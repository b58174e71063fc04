package rooms

import (
	"cmp"
	"math"
	"strings"
	"sync"
)

// Payer is who pays for what a request causes, and how much that may be for all requests of the user.
type Payer struct {
	User        string // "": nobody
	EmptyRooms  int    // most rooms without data; 0: Config.EmptyRooms; below 0: any number
	RecallBytes int64  // bytes read again in a minute; 0: as whoever reads them has it; below 0: any number
}

// payers counts the empty rooms of each user: public rooms that a join of the user created and that
// have had no record. Appenders use it when such a room is created or removed. A user without such
// rooms is not in the map.
type payers struct {
	most int // of one user that brings no number of its own; 0: any number

	mu sync.Mutex
	n  map[string]int
}

func (p *payers) take(who Payer) bool {
	user, most := who.User, cmp.Or(who.EmptyRooms, p.most)
	if user == "" {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if most > 0 && p.n[user] >= most {
		return false
	}
	p.n[user]++
	return true
}

func (p *payers) give(user string) {
	if user == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[user]--; p.n[user] <= 0 {
		delete(p.n, user)
	}
}

// roomFor returns the room of a join, and creates it empty if it does not exist. Empty rooms are
// counted apart, so that names without records take no space from data.
func (s *shard) roomFor(who Payer, member *Member) (*Room, error) {
	if r := s.rooms.findString(member.Name); r != nil {
		return r, nil
	}
	p := member.Pattern
	if !holds(p, member.Name) {
		return nil, ErrTooManyRooms
	}
	if p.empty.Add(1) > p.maxRooms() {
		p.empty.Add(-1)
		return nil, ErrTooManyRooms
	}
	// A user has at most one private room of a pattern, so those are not counted.
	if !p.Class.Private() {
		if err := s.pay(p, who); err != nil {
			p.empty.Add(-1)
			return nil, err
		}
	}
	r := s.make(member.Name, p)
	r.chain.empty = true
	if !r.private() {
		s.payer[r] = who.User
	}
	return r, nil
}

// pay counts an empty room of a user, or says why it may not be created.
func (s *shard) pay(p *Pattern, who Payer) error {
	guest := s.table.isGuest(who.User)
	if guest && p.guests.Add(1) > (p.maxRooms()+1)/2 {
		p.guests.Add(-1)
		return ErrGuestRooms
	}
	if s.table.payers.take(who) {
		return nil
	}
	if guest {
		p.guests.Add(-1)
	}
	return ErrEmptyRooms
}

// isGuest reports whether that is the name by which a client without a user pays.
func (t *Table) isGuest(user string) bool {
	return t.cfg.Guests != "" && strings.HasPrefix(user, t.cfg.Guests)
}

// filled counts the room as one with data, before its first record. If the pattern already has as
// many as it may, the room stays on its user's account: a record for a room with members is never
// refused.
func (s *shard) filled(r *Room) {
	if r.chain.empty && r.pattern.admit() {
		s.settle(r)
	}
}

// settle takes an empty room off its user's account.
func (s *shard) settle(r *Room) {
	r.chain.empty = false
	r.pattern.empty.Add(-1)
	if user, ok := s.payer[r]; ok {
		delete(s.payer, r)
		s.table.payers.give(user)
		if s.table.isGuest(user) {
			r.pattern.guests.Add(-1)
		}
	}
}

// vacant is called when the last member has left a room. A room that has had no frame is then
// removed.
func (s *shard) vacant(r *Room) {
	if !r.chain.empty || r.next > 0 {
		return
	}
	if r.private() {
		s.remove(r)
		return
	}
	r.tape.left = math.MinInt64 / 2 // the next sweep takes it
}

// admit counts one more room with data. It returns false if the pattern already has as many as it
// may.
func (p *Pattern) admit() bool {
	if p.count.Add(1) > p.maxRooms() {
		p.count.Add(-1)
		return false
	}
	return true
}

// Crowded reports whether a record of the pattern that is added now may be refused. Each item on
// its way to the appenders may create a room first, and so may as many items that other batches add
// meanwhile.
func (b *Batch) Crowded(p *Pattern) bool {
	return p.count.Load()+2*(b.table.flying.Load()+int64(b.n)) >= p.maxRooms()
}

// Refused is a record without a room: its pattern already has as many rooms as it may. It is valid
// during the call.
type Refused struct {
	Pattern   *Pattern
	Room      []byte
	Partition int32
	Offset    int64
	Origin    any // of the Record
}

// origin is what a part keeps of a record that may be refused.
type origin struct {
	item int
	of   any
}

// refused counts a record without a room and reports it to its batch.
func (s *shard) refused(p *part, it *item) {
	s.stats.refused.Add(1)
	if p.refused == nil {
		return
	}
	r := Refused{Pattern: it.pattern, Room: p.text(it.name), Partition: it.part, Offset: it.off}
	for _, o := range p.origins {
		if &p.items[o.item] == it {
			r.Origin = o.of
		}
	}
	p.refused(&r)
}
