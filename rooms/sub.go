package rooms

import (
	"errors"
	"slices"
	"sync/atomic"
)

// ErrTooManyRooms answers a join of a room that may not be created.
var ErrTooManyRooms = errors.New("the pattern has as many rooms as it may")

// Listener is told when rooms have grown. An event loop is one.
type Listener struct {
	// Found is called on the appenders' goroutines with rooms that a Watch of this
	// listener waits for; it must not block. It is set before the first Watch.
	Found func(*Found)

	index int
	dirty func([]*Sub)
}

// Sub is a listener's interest in one room, kept while it has members there.
type Sub struct {
	room     *Room
	listener *Listener
	after    *Sub // next of the room; the appender's own
	members  int32
	dirty    atomic.Bool

	// Local is the listener's own: the appender never looks at it.
	Local any
}

// Room is the room of interest.
func (s *Sub) Room() *Room { return s.room }

// Take must be called before the listener looks at the room's head. The listener is told
// again of frames that are published after it.
func (s *Sub) Take() { s.dirty.Store(false) }

// Join asks for places in rooms, as one step. The appender of each room's
// shard answers; Done is called by the last of them, on its goroutine.
type Join struct {
	Rooms   []Member
	Watches []*Watch
	Done    func(*Join)
	User    string // that pays for what the join causes; "": nobody in particular

	listener *Listener
	left     atomic.Int32 // shards that have not answered
}

// Member is one room of a Join, and its answer: the place at which the member
// joins. Frames before At are in Positions; all others come after it. Where the
// member goes on from Since, Positions are those.
type Member struct {
	Name    string
	Pattern *Pattern
	Since   *Positions // where the client was; nil: it begins now

	Sub       *Sub
	At        uint64
	Positions Positions
	Keys      int     // that the room holds a value of: what a snapshot would be of
	Partial   bool    // it may lack last values: see Table.Partial
	Await     bool    // nothing is to be sent before the next keyframe
	Resume    *Resume // how to go on from Since, where that can be
	TooOld    error   // why it cannot: a *TooOldError, or a *NotNowError. The member is one that begins now
	Err       error

	shard int
}

// Listen registers a listener. dirty is called on the appenders' goroutines
// with rooms that have grown since the listener last took them; it must not
// block, and not keep the slice.
func (t *Table) Listen(dirty func([]*Sub)) *Listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &Listener{index: int(t.listeners.Add(1)) - 1, dirty: dirty}
	return l
}

// Join hands the members to their shards. It does not block.
func (t *Table) Join(l *Listener, j *Join) {
	j.listener = l
	var asked [maxShards]bool
	n := int32(0)
	for i := range j.Rooms {
		s := t.shardOf(j.Rooms[i].Name)
		j.Rooms[i].shard = s
		if !asked[s] {
			asked[s] = true
			n++
		}
	}
	for _, w := range j.Watches {
		w.members = make([][]Member, len(t.shards))
		w.seams = make([]*feedState, len(t.shards))
		w.changed = make([][]string, len(t.shards))
		n = int32(len(t.shards)) // rooms may be, and appear, in any
	}
	j.left.Store(n)
	if n == 0 {
		j.Done(j)
		return
	}
	for i, s := range t.shards {
		if (asked[i] || len(j.Watches) > 0) && !s.box.ask(ask{join: j}) {
			s.refuse(j)
		}
	}
}

// Leave gives up one member's member.
func (t *Table) Leave(s *Sub) {
	t.shards[t.shardOf(s.room.name)].box.ask(ask{leave: s})
}

// join answers the members of this shard.
func (s *shard) join(j *Join) {
	for i := range j.Rooms {
		if member := &j.Rooms[i]; member.shard == s.index {
			s.joinOne(j.listener, j.User, member)
		}
	}
	for _, w := range j.Watches {
		s.watch(j.listener, j.User, w)
	}
	if j.left.Add(-1) == 0 {
		j.Done(j)
	}
}

func (s *shard) refuse(j *Join) {
	for i := range j.Rooms {
		if j.Rooms[i].shard == s.index {
			j.Rooms[i].Err = ErrStopped
		}
	}
	for _, w := range j.Watches {
		w.stopped.Store(true)
	}
	if j.left.Add(-1) == 0 {
		j.Done(j)
	}
}

func (s *shard) joinOne(l *Listener, user string, member *Member) {
	r, err := s.roomFor(user, member)
	if member.Err = err; err != nil {
		return
	}
	sub := r.subs
	for sub != nil && sub.listener != l {
		sub = sub.after
	}
	if sub == nil {
		sub = &Sub{room: r, listener: l, after: r.subs}
		if r.subs == nil {
			s.stats.listened.Add(1)
		}
		r.subs = sub
	}
	sub.members++
	member.Sub = sub
	if r.last != nil {
		member.Keys = r.last.keys
		member.Partial = r.last.partial.Load() > s.now
	}
	member.At, member.Positions = s.entry(r)
	_, keyed := r.Keyframe()
	member.Await = r.pattern.Keyframed && !keyed
	if member.Since == nil {
		return
	}
	at, how, err := s.resume(r, *member.Since)
	if member.TooOld = err; err != nil {
		return
	}
	member.At, member.Resume, member.Await = at, how, false
	if !slices.Equal(how.Have, member.Positions.Offsets) {
		member.Positions = Positions{Epoch: member.Positions.Epoch, Offsets: how.Have}
	}
}

func (s *shard) leave(sub *Sub) {
	sub.members--
	if sub.members > 0 {
		return
	}
	if sub.members < 0 {
		panic("BUG: more members left " + sub.room.name + " than joined")
	}
	r := sub.room
	for at := &r.subs; *at != nil; at = &(*at).after {
		if *at == sub {
			*at = sub.after
			break
		}
	}
	if r.subs == nil {
		s.stats.listened.Add(-1)
		s.left(r)
	}
}
