package rooms

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// audience is one listener with its members: what an event loop is to a table.
type audience struct {
	t     *testing.T
	table *Table
	l     *Listener
	rnd   *rand.Rand
	names []string
	sent  *steps // the producers' batches
	slow  bool   // reads so rarely that retention overtakes its members

	mu     sync.Mutex
	told   []*Sub
	joined []*Join

	asked   int
	pending map[*Sub]bool // told, and not read to the head since
	members []*spectator
	done    []*spectator
}

// spectator is one membership, with all that it was sent.
type spectator struct {
	room   *Room
	sub    *Sub
	at     uint64
	got    []sight
	starts []mark // positions that it was given: at the join, and after each lag
	checks []mark // positions that it stood at
}

// mark is a position after n sights. Once retention has overtaken the member, the
// position may be earlier, or unknown.
type mark struct {
	n         int
	where     Positions
	overtaken bool
}

// sight is one frame: a record, a gap or a reset.
type sight struct {
	kind      byte // 'd', 'g', 'r'
	part      int32
	off, prev int64 // a gap: its end and its beginning; prev: -1 where there is none
	epoch     string
}

func newAudience(t *testing.T, table *Table, names []string, sent *steps, rnd *rand.Rand) *audience {
	v := &audience{t: t, table: table, rnd: rnd, names: names, sent: sent, pending: map[*Sub]bool{}}
	v.l = table.Listen(func(subs []*Sub) {
		v.mu.Lock()
		v.told = append(v.told, subs...)
		v.mu.Unlock()
	})
	return v
}

func (v *audience) run(ended *atomic.Bool) {
	for {
		last := ended.Load()
		if !last && v.rnd.IntN(8) == 0 && v.asked < 5 {
			v.join()
		}
		v.take()
		if last && v.asked > 0 {
			runtime.Gosched()
			continue
		}
		for sub := range v.pending {
			if last || v.rnd.IntN(3) > 0 && (!v.slow || v.rnd.IntN(300) == 0) {
				v.read(sub, last)
			}
		}
		if last {
			break
		}
		if n := len(v.members); n > 0 {
			v.check(v.members[v.rnd.IntN(n)])
		}
		if n := len(v.members); n > 0 && v.rnd.IntN(60) < n {
			v.leave(v.rnd.IntN(n))
		}
		v.sent.await(v.rnd.IntN(4)) // so that records come meanwhile
	}
	// Reading only what it was told of has brought every member to the head.
	for len(v.members) > 0 {
		if s := v.members[0]; s.at != s.room.Head() {
			v.t.Errorf("a member of %s ended at %d of %d", s.room.Name(), s.at, s.room.Head())
		}
		v.leave(0)
	}
}

func (v *audience) join() {
	j := &Join{Done: func(j *Join) {
		v.mu.Lock()
		v.joined = append(v.joined, j)
		v.mu.Unlock()
	}}
	for range 1 + v.rnd.IntN(7) {
		name := v.names[v.rnd.IntN(len(v.names))]
		p, _, _ := v.table.Catalog().Resolve(name)
		j.Rooms = append(j.Rooms, Member{Name: name, Pattern: p})
	}
	v.asked++
	v.table.Join(v.l, j)
}

// take takes in what the appenders have said.
func (v *audience) take() {
	v.mu.Lock()
	told, joined := v.told, v.joined
	v.told, v.joined = nil, nil
	v.mu.Unlock()
	for _, sub := range told {
		sub.Take()
		v.pending[sub] = true
	}
	for _, j := range joined {
		v.asked--
		for _, member := range j.Rooms {
			if member.Err != nil {
				v.t.Errorf("cannot join %s: %v", member.Name, member.Err)
				continue
			}
			s := &spectator{room: member.Sub.Room(), sub: member.Sub, at: member.At,
				starts: []mark{{where: member.Positions}}}
			members, _ := member.Sub.Local.([]*spectator)
			member.Sub.Local = append(members, s)
			v.members = append(v.members, s)
			v.pending[member.Sub] = true // its frames may have been told of already
		}
	}
}

// check notes where the table says that the member stands.
func (v *audience) check(s *spectator) {
	c := mark{n: len(s.got), where: v.table.PositionsAt(s.room, s.at)}
	_, _, c.overtaken = s.room.Cut(s.at, 1, nil)
	s.checks = append(s.checks, c)
}

func (v *audience) leave(i int) {
	s := v.members[i]
	v.check(s)
	v.members[i] = v.members[len(v.members)-1]
	v.members = v.members[:len(v.members)-1]
	members := s.sub.Local.([]*spectator)
	for k := range members {
		if members[k] == s {
			s.sub.Local = append(members[:k:k], members[k+1:]...)
		}
	}
	v.table.Leave(s.sub)
	v.done = append(v.done, s)
}

// read sends the members of a room a part of what they lack, or all.
func (v *audience) read(sub *Sub, all bool) {
	delete(v.pending, sub)
	members, _ := sub.Local.([]*spectator)
	for _, s := range members {
		for {
			next, pieces, lagged := s.room.Cut(s.at, 1+v.rnd.IntN(20<<10), nil)
			if lagged {
				from, to, tail := v.table.GapAt(s.room, s.at)
				s.lag(v.t, from, to)
				s.at = tail
				continue
			}
			for _, p := range pieces {
				for b := p.Bytes; len(b) > 0; {
					var payload []byte
					_, payload, b = readFrame(v.t, b)
					s.see(v.t, payload)
				}
			}
			if s.at = next; len(pieces) == 0 || !all && v.rnd.IntN(2) == 0 {
				break
			}
		}
		if s.at < s.room.Head() {
			v.pending[sub] = true
		}
	}
}

// lag begins again at the position that the gap ends at. Where the gap begins may
// be earlier than the member's last message, never later.
func (s *spectator) lag(t *testing.T, from, to Positions) {
	start := s.starts[len(s.starts)-1]
	last, epoch := map[int32]int64{}, start.where.Epoch
	for _, p := range start.where.Offsets {
		last[p.Partition] = p.Offset
	}
	for _, x := range s.got[start.n:] {
		switch x.kind {
		case 'd', 'g':
			last[x.part] = x.off
		case 'r':
			clear(last)
			epoch = x.epoch
		}
	}
	for _, p := range from.Offsets {
		if off, ok := last[p.Partition]; epoch != "" && (from.Epoch != epoch || p.Offset > off && ok) {
			t.Errorf("%s: a gap from %v in %q for a member at %v in %q", s.room.Name(), p, from.Epoch, last, epoch)
		}
	}
	s.starts = append(s.starts, mark{n: len(s.got), where: to})
}

// see notes one frame.
func (s *spectator) see(t *testing.T, payload []byte) {
	field := func(name string) string {
		_, rest, ok := bytes.Cut(payload, []byte(`"`+name+`":"`))
		if !ok {
			return ""
		}
		text, _, _ := bytes.Cut(rest, []byte(`"`))
		return string(text)
	}
	if room := field("room"); room != s.room.Name() {
		t.Errorf("a member of %s got %.100s", s.room.Name(), payload)
	}
	x := sight{kind: 'd', prev: -1, epoch: field("epoch")}
	switch field("method") {
	case "reset":
		x.kind = 'r'
	case "gap":
		x.kind = 'g'
		form := `{"jsonrpc":"2.0","method":"gap","params":{"room":"` + s.room.Name() + `","from":{"epoch":"` + x.epoch +
			`","%d":%d},"to":{"epoch":"` + x.epoch + `","%d":%d}}}`
		if n, err := fmt.Sscanf(string(payload), form, &x.part, &x.prev, &x.part, &x.off); n != 4 {
			t.Errorf("%s: %v", payload, err)
		}
	default:
		parsePos := func(text string) (part int32, off int64) {
			a, b, _ := bytes.Cut([]byte(text), []byte(":"))
			n, _ := strconv.Atoi(string(a))
			off, err := strconv.ParseInt(string(b), 10, 64)
			if err != nil {
				t.Errorf("%.100s: %v", payload, err)
			}
			return int32(n), off
		}
		x.part, x.off = parsePos(field("pos"))
		if prev := field("prev"); prev != "" {
			var part int32
			if part, x.prev = parsePos(prev); part != x.part {
				t.Errorf("prev is of another partition: %.100s", payload)
			}
		}
	}
	s.got = append(s.got, x)
}
