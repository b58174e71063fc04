package rooms

import (
	"slices"
	"testing"
	"time"
)

// Stepped is a table whose appenders the model runs, step by step (package rooms_test).
type Stepped struct {
	*Table
	Batch *Batch // sent by Send

	m *manual
}

// NewStepped makes a table of one shard; the feeds are the patterns'.
func NewStepped(t testing.TB, cfg Config, patterns ...*Pattern) *Stepped {
	cfg.Shards = 1
	m := newManual(t, cfg, patterns...)
	return &Stepped{Table: m.Table, Batch: m.batch, m: m}
}

func (s *Stepped) shard() *shard { return s.m.shards[0] }

// Send does what the appender does with the batch.
func (s *Stepped) Send() { s.m.send() }

// Ask joins rooms, and returns the answers.
func (s *Stepped) Ask(l *Listener, j *Join) []Member {
	s.Join(l, j)
	s.m.answer()
	return j.Rooms
}

// Left is Leave, carried out.
func (s *Stepped) Left(sub *Sub) { s.m.leave(sub) }

// Pass lets time pass, without a sweep.
func (s *Stepped) Pass(d time.Duration) {
	s.m.pass(d)
	s.began = time.Now().Add(-s.Clock())
}

// Clock is how long the table has been there.
func (s *Stepped) Clock() time.Duration { return time.Duration(s.shard().now) * time.Millisecond }

// Sweep has retention look at all rooms.
func (s *Stepped) Sweep() { s.m.sweep() }

// Check compares what is counted with what is there.
func (s *Stepped) Check() { s.m.check() }

// Room finds a room that is alive; nil: there is none.
func (s *Stepped) Room(name string) *Room { return s.m.room(name) }

// HasValue reports whether a room holds a value of the key.
func (s *Stepped) HasValue(room, key string) bool {
	r := s.m.room(room)
	if r == nil || r.last == nil {
		return false
	}
	f := r.last.find([]byte(key))
	return f != nil && f.kind == lastValue
}

// Press has the shard find that last values take more than they may: by so many bytes, which
// the room gives, since the order of rooms is chance; less than 0: by all that there are. false:
// the room has nothing to give.
func (s *Stepped) Press(room string, bytes int64) bool {
	sh, r := s.shard(), s.m.room(room)
	most := s.cfg.LastBudget
	switch {
	case bytes < 0:
		s.cfg.LastBudget = 1
		for range 3 {
			sh.sweep()
		}
	case r == nil || r.last.bytes == 0:
		return false
	default:
		s.cfg.LastBudget = max(1, (s.usedLast.Load()-bytes)*8/7)
		sh.evicting.cut = sh.now + 1
		sh.evictFrom(r)
	}
	s.cfg.LastBudget, sh.evicting = most, eviction{at: sh.evicting.at}
	return true
}

// Told are the rooms whose listener was told of frames since the last time.
func (s *Stepped) Told() []*Sub {
	told := slices.Clone(s.m.told)
	s.m.told = s.m.told[:0]
	return told
}

// Hear makes a listener, for Told.
func (s *Stepped) Hear() *Listener { return s.m.listen() }

// Plainly is the message of a frame, deflated or not.
func Plainly(t testing.TB, frame []byte) string { return plainly(t, frame) }
