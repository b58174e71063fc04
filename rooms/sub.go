package rooms

import (
	"slices"
	"sync/atomic"
)

// Listener is told when rooms have grown. An event loop is one.
type Listener struct {
	// Found is called on an appender's goroutine with a room that a Watch of this listener waits
	// for. It must not block, and must be set before the first Watch.
	Found func(*Found)

	index int
	dirty func([]*Sub)
}

// Sub is a listener's interest in one room. It exists while the room has members there.
type Sub struct {
	room     *Room
	listener *Listener
	after    *Sub // next of the room; the appender's own
	members  int32
	dirty    atomic.Bool

	// Local is the listener's own: the appender never looks at it.
	Local any
}

// Room returns the room.
func (s *Sub) Room() *Room { return s.room }

// Take must be called before the listener loads the room's head. The listener is told again of
// frames that are published after that.
func (s *Sub) Take() { s.dirty.Store(false) }

// Join asks for membership of rooms, as one step. The appender of each room's shard answers. The
// last of them calls Done on its goroutine.
type Join struct {
	Rooms   []Member
	Watches []*Watch
	Done    func(*Join)
	Payer

	listener *Listener
	left     atomic.Int32 // shards that have not answered
}

// Member is one room of a Join and its answer: where the member starts. Positions cover the frames
// before At; all other frames come later. If the member continues from Since, Positions are those
// of Since.
type Member struct {
	Name    string
	Pattern *Pattern
	Since   *Positions // where the client was; nil: it starts now

	Sub       *Sub
	At        uint64
	Positions Positions
	Keys      int     // how many keys have a value: the size of a snapshot
	Partial   bool    // the room may lack last values: see Table.Partial
	Await     bool    // the member must wait for the next keyframe
	Resume    *Resume // how to continue from Since; nil: it cannot
	TooOld    error   // why it cannot: a *TooOldError or a *NotNowError; the member starts now
	Err       error

	shard int
}

// Listen registers a listener. dirty is called on the appenders' goroutines with rooms that have
// grown since the listener last took them. It must not block, and must not keep the slice.
func (t *Table) Listen(dirty func([]*Sub)) *Listener {
	return &Listener{index: int(t.listeners.Add(1)) - 1, dirty: dirty}
}

// Join sends the join to the shards of its rooms. It does not block.
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
		n = int32(len(t.shards)) // any shard may have such rooms
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

// Leave ends one membership.
func (t *Table) Leave(s *Sub) {
	t.shards[t.shardOf(s.room.name)].box.ask(ask{leave: s})
}

// join answers a join for the rooms of this shard.
func (s *shard) join(j *Join) {
	for i := range j.Rooms {
		if member := &j.Rooms[i]; member.shard == s.index {
			s.joinOne(j.listener, j.Payer, member)
		}
	}
	for _, w := range j.Watches {
		s.watch(j.listener, j.Payer, w)
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

func (s *shard) joinOne(l *Listener, who Payer, member *Member) {
	r, err := s.roomFor(who, member)
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
