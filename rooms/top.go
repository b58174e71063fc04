package rooms

import (
	"cmp"
	"context"
	"time"

	"tapecast/rooms/survey"
)

// RoomInfo describes one room to an operator.
type RoomInfo struct {
	Name    string
	Class   string
	Members int
	Frames  uint64 // ever written
	Bytes   int64  // of its own tape; 0 for a private room
}

// topStep is how long an appender walks its rooms before it does something else.
const topStep = 250 * time.Microsecond

// topWalk finds a shard's rooms with the most members, in steps.
type topWalk struct {
	n       int
	at      int // the next bucket of the index
	buckets int // that the index had in the last step
	top     *survey.Top[RoomInfo]
}

// TopRooms returns the n rooms with the most members. It asks every appender and waits for the
// answers at most that long. late names the appenders that did not answer: their rooms are not in
// the list.
func (t *Table) TopRooms(n int, wait time.Duration) (list []RoomInfo, late []string) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	asked := make([]<-chan struct{}, len(t.shards))
	for i, s := range t.shards {
		asked[i] = s.topRooms.Ask(func() bool {
			w := &topWalk{n: n}
			return s.box.ask(ask{do: w.step})
		})
	}
	all := newTopRooms(n)
	for i, s := range t.shards {
		if !survey.Await(ctx, asked[i], nil) {
			late = append(late, s.heartbeat.Name)
		}
		for _, r := range s.topRooms.Take() {
			all.Add(r)
		}
	}
	return all.List(), late
}

func newTopRooms(n int) *survey.Top[RoomInfo] {
	return survey.NewTop(n, func(a, b RoomInfo) int {
		return cmp.Or(cmp.Compare(a.Members, b.Members), cmp.Compare(b.Name, a.Name))
	})
}

// step looks at rooms for topStep, then asks for another turn. If the index has grown meanwhile,
// rooms have moved, and it begins again.
func (w *topWalk) step(s *shard) {
	end := time.Now().Add(topStep)
	if n := len(s.rooms.buckets); n != w.buckets {
		w.at, w.buckets, w.top = 0, n, newTopRooms(w.n)
	}
	for w.at < w.buckets {
		s.rooms.each(w.at, w.look)
		w.at++
		if w.at%64 == 0 && time.Now().After(end) && s.box.ask(ask{do: w.step}) {
			return
		}
	}
	s.topRooms.Answer(w.top.List())
}

func (w *topWalk) look(r *Room) {
	members := 0
	for sub := r.subs; sub != nil; sub = sub.after {
		members += int(sub.members)
	}
	info := RoomInfo{Name: r.name, Class: r.Class().Name, Members: members, Frames: r.next}
	if !r.private() {
		info.Bytes = r.tape.cost
	}
	w.top.Add(info)
}
