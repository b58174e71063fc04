package rooms

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Watch follows every room of a public pattern with a given prefix: rooms that have had a record,
// and rooms that get their first record later. Rooms that clients have only asked for are left out.
// Otherwise any client could add rooms to the watches of others.
//
// A Watch is part of a Join, whose answer holds a Member for each such room. From then until
// Unwatch, the listener's Found is called for rooms that appear.
type Watch struct {
	Pattern *Pattern
	Prefix  string // begins with the pattern's prefix
	// Since has the positions from which to resume rooms of the pattern, by name. These rooms are
	// joined even if this node does not know them.
	Since map[string]Positions
	// From has the positions from which to resume all rooms that are not in Since. Nil: they are
	// not resumed. Their members start now in either case: see Changed.
	From *Positions
	// Most bounds the rooms that are joined now. Zero means any number. If there are more, some
	// shards may have joined theirs and others not, and not every shard watches.
	Most int

	// Local is the listener's own: appenders never look at it.
	Local any

	matched  atomic.Int64
	stopped  atomic.Bool
	appeared atomic.Int64
	members  [][]Member   // by shard
	seams    []*feedState // by shard: the state of its tapes when it began to watch
	changed  [][]string   // by shard
	unsure   atomic.Bool  // a shard cannot tell what has changed
}

// Found is a room that has appeared, with one Member for each of the watches. They share Sub, At
// and Positions. All records of the room come after At.
type Found struct {
	Member  Member
	Watches []*Watch
}

// Matched returns how many rooms matched. If there are more than Most, it returns a number above
// Most, since the shards stop counting. It is valid once the Join is done.
func (w *Watch) Matched() int { return int(w.matched.Load()) }

// Members returns the members that were given, sorted by name. It is valid once the Join is done.
func (w *Watch) Members() []Member {
	list := slices.Concat(w.members...)
	slices.SortFunc(list, ByName)
	return list
}

// ByName compares members by the names of their rooms.
func ByName(a, b Member) int { return strings.Compare(a.Name, b.Name) }

// Seams returns where the shards began to watch: the earliest and the latest offset of each
// partition. All records of matching rooms after low come after a Member's At or are found; none
// before high is found. Without an epoch they are not known. It is valid once the Join is done.
func (w *Watch) Seams() (low, high Positions) { return extent(w.seams) }

// Appeared returns how many rooms have been found. A caller that loads Table.Level first, and then
// has as many found rooms as this, has all matching rooms with a record up to that level.
func (w *Watch) Appeared() int { return int(w.appeared.Load()) }

// Err returns ErrStopped if an appender had stopped already.
func (w *Watch) Err() error {
	if w.stopped.Load() {
		return ErrStopped
	}
	return nil
}

// Unwatch ends a watch whose Join is done. Rooms that were found before may still be on their way
// to the listener.
func (t *Table) Unwatch(w *Watch) {
	for _, s := range t.shards {
		s.box.ask(ask{unwatch: w})
	}
}

// watchSet holds the watches of one prefix of a pattern in a shard. A second watch of the same
// prefix need not look at all rooms.
type watchSet struct {
	rooms   map[*Room]struct{} // matching rooms that have had a record
	watches map[*Watch]*Listener
}

// watch answers one watch of a join.
func (s *shard) watch(l *Listener, who Payer, w *Watch) {
	g := s.watches[w.Pattern][w.Prefix]
	if g == nil {
		g = s.matching(w)
	}
	var ahead []string // names in Since that are not among them
	for name := range w.Since {
		if s.table.shardOf(name) != s.index {
			continue
		}
		if r := s.rooms.findString(name); r == nil || !r.in(g) {
			ahead = append(ahead, name)
		}
	}
	n := len(g.rooms) + len(ahead)
	if n = int(w.matched.Add(int64(n))); w.Most > 0 && n > w.Most {
		return
	}
	s.addWatch(w, g, l)
	w.seams[s.index] = s.state(w.Pattern.Feed)
	if w.From != nil {
		names, ok := s.changed(w, g)
		if w.changed[s.index] = names; !ok {
			w.unsure.Store(true)
		}
	}
	list := make([]Member, 0, len(g.rooms)+len(ahead))
	for r := range g.rooms {
		list = append(list, w.member(r.name))
	}
	for _, name := range ahead {
		list = append(list, w.member(name))
	}
	for i := range list {
		s.joinOne(l, who, &list[i])
	}
	w.members[s.index] = list
}

// matching returns the rooms of a prefix that has no watch yet. It stops once there is one more
// than may be joined.
func (s *shard) matching(w *Watch) *watchSet {
	g := &watchSet{map[*Room]struct{}{}, map[*Watch]*Listener{}}
	for _, r := range s.owned {
		if r.pattern != w.Pattern || !r.tape.fed || !strings.HasPrefix(r.name, w.Prefix) {
			continue
		}
		g.rooms[r] = struct{}{}
		if w.Most > 0 && len(g.rooms)+int(w.matched.Load()) > w.Most {
			break
		}
	}
	return g
}

// addWatch adds the watch to the set of its prefix, so that it is told of rooms that appear.
func (s *shard) addWatch(w *Watch, g *watchSet, l *Listener) {
	groups := s.watches[w.Pattern]
	if groups == nil {
		groups = map[string]*watchSet{}
		s.watches[w.Pattern] = groups
	}
	groups[w.Prefix] = g
	g.watches[w] = l
	w.Pattern.watches.Add(1)
}

func (w *Watch) member(name string) Member {
	member := Member{Name: name, Pattern: w.Pattern}
	if p, ok := w.Since[name]; ok {
		member.Since = &p
	}
	return member
}

func (r *Room) in(g *watchSet) bool {
	_, ok := g.rooms[r]
	return ok
}

func (s *shard) unwatch(w *Watch) {
	g := s.watches[w.Pattern][w.Prefix]
	if g == nil || g.watches[w] == nil {
		return
	}
	delete(g.watches, w)
	w.Pattern.watches.Add(-1)
	if len(g.watches) > 0 {
		return
	}
	delete(s.watches[w.Pattern], w.Prefix)
	if len(s.watches[w.Pattern]) == 0 {
		delete(s.watches, w.Pattern)
	}
}

// wants reports whether a watch waits for a room that does not exist, so that it must be created
// for its record.
func (s *shard) wants(p *Pattern, name []byte) bool {
	if p.watches.Load() == 0 {
		return false
	}
	groups := s.watches[p]
	for n := len(p.prefix); n <= len(name) && len(groups) > 0; n++ {
		if groups[string(name[:n])] != nil {
			return true
		}
	}
	return false
}

// eachWatchSet calls visit for each set of watches that matches the room.
func (s *shard) eachWatchSet(r *Room, visit func(*watchSet)) {
	if r.pattern.watches.Load() == 0 {
		return
	}
	groups := s.watches[r.pattern]
	for n := len(r.pattern.prefix); n <= len(r.name) && len(groups) > 0; n++ {
		if g := groups[r.name[:n]]; g != nil {
			visit(g)
		}
	}
}

// appear is called before the first record of a room is written.
func (s *shard) appear(r *Room) {
	r.tape.fed = true
	s.eachWatchSet(r, func(g *watchSet) {
		if r.next != r.head.Load() {
			s.publish() // a new cursor may not be past the head
		}
		g.rooms[r] = struct{}{}
		by := map[*Listener][]*Watch{}
		for w, l := range g.watches {
			w.appeared.Add(1) // before positions cover the record: see Table.Level
			by[l] = append(by[l], w)
		}
		for l, list := range by {
			f := &Found{Member: Member{Name: r.name, Pattern: r.pattern}, Watches: list}
			s.joinOne(l, Payer{}, &f.Member)
			f.Member.Sub.members += int32(len(list) - 1)
			l.Found(f)
		}
	})
}

// vanish is called for a room that is being removed.
func (s *shard) vanish(r *Room) {
	s.eachWatchSet(r, func(g *watchSet) { delete(g.rooms, r) })
}
