package rooms

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"
	"unsafe"

	"tapecast/rooms/survey"
)

type shardStats struct {
	rooms, listened                                atomic.Int64
	appended, bytes, skipped, refused, stale, shed atomic.Uint64
	expired, evicted, outOfMemory                  atomic.Uint64
	deflated, deflatedFrom, deflatedTo             atomic.Uint64
	events, eventBytes                             atomic.Uint64
}

// Stats holds the table's figures since it started.
type Stats struct {
	Rooms     int64  `metric:"tapecast_rooms"`          // alive
	Empty     int64  `metric:"tapecast_rooms_empty"`    // of those, without a record: clients asked for them
	Listened  int64  `metric:"tapecast_rooms_listened"` // with members on some listener
	RoomBytes int64  // memory of rooms and subs without tapes, estimated
	Shards    int    `metric:"tapecast_shards"`
	TapeBytes int64  `metric:"tapecast_tape_bytes"`           // of all tapes, their indexes included
	Appended  uint64 `metric:"tapecast_appended_total"`       // records written to a tape, once for each room
	Bytes     uint64 `metric:"tapecast_appended_bytes_total"` // of their values
	Skipped   uint64 `metric:"tapecast_skipped_total"`        // records for rooms without members
	Refused   uint64 `metric:"tapecast_rooms_refused_total"`  // their rooms may not be created: too many, or a bad name
	Stale     uint64 `metric:"tapecast_stale_total"`          // records that were read a second time and not sent again
	Shed      uint64 `metric:"tapecast_tape_shed_total"`      // chunks dropped early because the budget was reached
	LastBytes int64  `metric:"tapecast_last_values_bytes"`    // of all last values
	LastFull  bool   // last values are at their budget: some were evicted within the last minute
	Expired   uint64 `metric:"tapecast_keys_expired_total"` // keys without an update for their class's key_ttl
	Evicted   uint64 `metric:"tapecast_keys_evicted_total"` // keys forgotten because their room had too many

	Waiting     int64  `metric:"tapecast_appenders_waiting_records"`  // records and events for the appenders
	Asked       int64  `metric:"tapecast_appenders_waiting_requests"` // requests, one for each appender
	OutOfMemory uint64 `metric:"tapecast_last_values_evicted_total"`  // last values, since the budget was reached

	Deflated     uint64 `metric:"tapecast_deflated_frames_total"`     // frames written to a tape of deflated ones
	DeflatedFrom uint64 `metric:"tapecast_deflated_from_bytes_total"` // bytes of those: plain,
	DeflatedTo   uint64 `metric:"tapecast_deflated_to_bytes_total"`   // and as written
	Events       uint64 `metric:"tapecast_event_frames_total"`        // frames written to a tape of events
	EventBytes   uint64 `metric:"tapecast_event_bytes_total"`         // bytes of those
}

// Stats adds up the shards.
func (t *Table) Stats() Stats {
	out := Stats{TapeBytes: t.used.Load(), LastBytes: t.usedLast.Load(), Shards: len(t.shards)}
	for _, s := range t.shards {
		out.Asked += s.box.asked()
		out.Rooms += s.stats.rooms.Load()
		out.Listened += s.stats.listened.Load()
		out.Appended += s.stats.appended.Load()
		out.Bytes += s.stats.bytes.Load()
		out.Skipped += s.stats.skipped.Load()
		out.Refused += s.stats.refused.Load()
		out.Stale += s.stats.stale.Load()
		out.Shed += s.stats.shed.Load()
		out.Expired += s.stats.expired.Load()
		out.Evicted += s.stats.evicted.Load()
		out.OutOfMemory += s.stats.outOfMemory.Load()
		out.Deflated += s.stats.deflated.Load()
		out.DeflatedFrom += s.stats.deflatedFrom.Load()
		out.DeflatedTo += s.stats.deflatedTo.Load()
		out.Events += s.stats.events.Load()
		out.EventBytes += s.stats.eventBytes.Load()
	}
	for _, p := range t.cfg.Catalog.Patterns() {
		out.Empty += p.empty.Load()
	}
	out.Waiting = t.flying.Load()
	out.LastFull = t.overLast() || t.fullUntil.Load() > t.clock()
	out.RoomBytes = out.Rooms*roomSize + out.Listened*int64(unsafe.Sizeof(Sub{}))
	return out
}

// roomSize is the memory of a room: itself, about 24 bytes of a name, and its entry in the shard's
// index.
const roomSize = int64(unsafe.Sizeof(Room{})+unsafe.Sizeof(uintptr(0))) + 24

// RoomInfo describes one room to an operator.
type RoomInfo struct {
	Name    string `json:"room"`
	Class   string `json:"class"`
	Members int    `json:"members"`
	Frames  uint64 `json:"frames"` // ever written
	Bytes   int64  `json:"bytes"`  // of its own tape; 0 for a private room
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
