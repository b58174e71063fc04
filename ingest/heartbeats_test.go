package ingest

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"tapecast/rooms"
)

// busy returns the numbers of the turns that goroutines are in, by name.
func busy(c *Consumer) map[string]uint64 {
	found := map[string]uint64{}
	for _, b := range c.Heartbeats() {
		if turn, busy := b.Turn(); busy {
			found[b.Name] = turn
		}
	}
	return found
}

// TestHeartbeatsWithoutKafka: the recaller and a look-up of a time stand if a function that they call
// blocks, but not while they wait for Kafka.
func TestHeartbeatsWithoutKafka(t *testing.T) {
	t.Parallel()
	k := padded(t, 100)
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"}, both()).start().ready()
	p, _, _ := r.catalog.Resolve("all")
	hold := make(chan struct{})
	answer := func() { <-hold }
	q := r.recallOf("m1", "all", []int64{-1}, []int64{99})
	q.Done = func(*rooms.Past, error) { answer() }
	r.c.Recall(q)
	r.c.PositionsAt(p, time.Now().UnixMilli(), "m1", func(rooms.Positions, error) { answer() })
	look := "time look-up 3" // the last in the list starts first
	var now map[string]uint64
	eventually(t, "both in a turn", func() bool {
		now = busy(r.c)
		return now["recaller"] != 0 && now[look] != 0 && r.c.RecallStats().Waiting == 0
	})
	looked := make(chan struct{}) // by another one meanwhile
	r.c.PositionsAt(p, time.Now().Add(-time.Minute).UnixMilli(), "a1", func(rooms.Positions, error) { close(looked) })
	<-looked
	if again := busy(r.c); again["recaller"] != now["recaller"] || again[look] != now[look] {
		t.Errorf("they went on: %v, then %v", now, again)
	}
	close(hold)
	eventually(t, "idle", func() bool { return len(busy(r.c)) == 0 })

	silent := make(chan struct{})
	defer close(silent)
	for _, key := range []int16{kmsg.Fetch.Int16(), kmsg.ListOffsets.Int16()} {
		k.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			k.SleepControl(func() { <-silent })
			return nil, nil, false
		})
	}
	r.c.PositionsAt(p, time.Now().Add(-time.Hour).UnixMilli(), "m1", func(rooms.Positions, error) {})
	eventually(t, "waiting for a time to be looked up", func() bool {
		r.c.times.mu.Lock()
		waits := len(r.c.times.turns) == 0 && len(r.c.times.waiting) == 1
		r.c.times.mu.Unlock()
		return waits && busy(r.c)[look] == 0
	})
}

// TestHeartbeatAfterReadError: retention deletes a stretch after its request was judged. The lane's
// turn ends with the error.
func TestHeartbeatAfterReadError(t *testing.T) {
	t.Parallel()
	k := padded(t, 100)
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"}, both())
	r.c.readFor, r.c.quietFor = time.Minute, time.Minute
	r.start().ready()
	if err := k.DeleteRecords("a", 0, 50); err != nil {
		t.Fatal(err)
	}
	g := &group{topic: &recallTopic{topic: r.c.topics[0]}}
	read := &recallRead{lane: &recallLane{}, g: g, list: []stretch{{0, 0, 50}}, most: 1 << 20}
	read.run(r.c.recaller)
	if read.err == nil {
		t.Error("deleted records were read")
	}
	if n, busy := read.lane.heartbeat.Turn(); n == 0 || busy {
		t.Errorf("in turn %d, busy %t", n, busy)
	}
}

// TestHeartbeatsWhileReading: a lane's turn ends with each wait for records, here of brokers that send
// none.
func TestHeartbeatsWhileReading(t *testing.T) {
	t.Parallel()
	k := padded(t, 100)
	r := newRig(t, k.ListenAddrs(), Config{Start: "beginning"}, both()).start().ready()
	silent := make(chan struct{})
	defer close(silent)
	k.ControlKey(kmsg.Fetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		k.SleepControl(func() { <-silent })
		return nil, nil, false
	})
	r.askRecall(r.recallOf("m1", "all", []int64{-1}, []int64{99}))
	turns := &r.c.recaller.lanes[recallLanes-1].heartbeat // of the lane that reads first
	var turn uint64
	var looks, most int // in the same turn
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.log.count("cannot read records again yet") == 0 {
		n, busy := turns.Turn()
		if !busy || n != turn {
			turn, looks = n, 0
		}
		looks++
		most = max(most, looks)
		<-tick.C
	}
	if limit := int(quietFor / (5 * time.Millisecond) / 2); most > limit {
		t.Errorf("%d looks found the same turn", most)
	}
}
