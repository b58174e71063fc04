package loop

import (
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/loop/member"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

func TestHistogram(t *testing.T) {
	f := func(v, unit uint64, bucket int) {
		t.Helper()
		var h Histogram
		h.add(v, unit, 3)
		if h.Counts[bucket] != 3 || h.Count() != 3 || h.Sum != 3*v {
			t.Errorf("%d in units of %d: %+v, want it in bucket %d", v, unit, h, bucket)
		}
	}
	f(0, 1, 0)
	f(1, 1, 0)
	f(2, 1, 1)
	f(3, 1, 2)
	f(4, 1, 2)
	f(5, 1, 3)
	f(64, 64, 0)
	f(65, 64, 1)
	f(128, 64, 1)
	f(129, 64, 2)
	f(1<<16, 1, 16)
	f(1<<16+1, 1, Buckets)
	f(1<<60, 1, Buckets)
}

// TestSendFigures holds the histograms of sends against what was sent.
func TestSendFigures(t *testing.T) {
	w := newWorld(t, Config{})
	c := w.talk("all")
	for range 5 {
		w.publish("1", "all")
		c.expect(`{"room":"all"`)
	}
	// What comes in one batch is published at once, and goes out in one send.
	w.publish("1", slices.Repeat([]string{"all"}, 100)...)
	for range 100 {
		c.expect(`{"room":"all"`)
	}
	var s Stats
	w.await(func() bool { s = w.engine.Stats(); return s.SendFrames.Sum >= 105 })
	if h := s.SendFrames; h.Count() != 6 || h.Counts[0] != 5 || h.Counts[bits.Len(100-1)] != 1 || h.Sum != s.Frames {
		t.Errorf("frames of sends %+v of %d", h, s.Frames)
	}
	if h := s.SendBytes; h.Count() != s.Sends || h.Sum != s.Bytes {
		t.Errorf("bytes of sends %+v, of %d sends and %d bytes", h, s.Sends, s.Bytes)
	}
}

// TestPassFigures: a pass over a room of a hundred.
func TestPassFigures(t *testing.T) {
	const members = 100
	w := newWorld(t, Config{Loops: 1})
	for range members {
		fd := w.bareDial(t, "me,all")
		t.Cleanup(func() { unix.Close(fd) })
	}
	for range 2 {
		had := w.engine.Stats().Passes
		w.publish("1", "all")
		w.await(func() bool { return w.engine.Stats().Passes > had })
	}
	s := w.engine.Stats()
	if h := s.PassMembers; s.Passes != 2 || h.Counts[1] != 2 || h.Count() != 2 ||
		h.Sum != 2*members || s.Visits != h.Sum {
		t.Errorf("%d passes: members %+v, %d visits", s.Passes, h, s.Visits)
	}
	if h := s.PassTimes; h.Count() != 2 || h.Sum != uint64(s.PassTime) || s.PassBusy <= 0 || s.PassBusy > s.PassTime {
		t.Errorf("passes took %+v, %v, and visits %v of that", h, s.PassTime, s.PassBusy)
	}
}

// TestAges: what is sent is as old as its record's timestamp says, once for each
// member; what a member asked for that is older is not in it.
func TestAges(t *testing.T) {
	w := newWorld(t, Config{})
	a, b := w.talk("all", "own:me"), w.talk("all")
	w.publish("0", "all", "own:me", "last") // of 1970
	a.expect(`{"room":`)
	a.expect(`{"room":`)
	b.expect(`{"room":`)
	w.stamp = time.Now().UnixMilli() - 5000
	w.publish("1", "all", "all", "all", "own:me", "last")
	w.stamp = time.Now().UnixMilli() - 40
	w.publish("2", "own:me")
	w.stamp = time.Now().UnixMilli() + 3_600_000 // by a clock that is ahead
	w.publish("3", "own:me")
	for range 6 {
		a.expect(`{"room":`)
	}
	for range 3 {
		b.expect(`{"room":`)
	}
	c := w.talk()
	begin := `{"jsonrpc":"2.0","method":"snapshot_begin","params":{"room":"last"}}`
	end := `{"jsonrpc":"2.0","method":"snapshot_end","params":{"room":"last","positions":{"epoch":"e1","0":9}}}`
	c.hears("snap last", "snap last{}", begin, "1", end)
	c.hears("since all=e1:0", `since all{"epoch":"e1","0":0}`, "1", "1", "1")
	const ages = 3 + 3 + 1 + 1 + 1
	var s Stats
	w.await(func() bool { s = w.engine.Stats(); return s.Frames >= 16 })
	h := s.Ages[0]
	if h.Count() != ages || h.Counts[bits.Len(5000-1)] != 7 || h.Counts[0] != 1 {
		t.Errorf("%d ages: %+v", h.Count(), h)
	}
	if h.Sum < 7*5000+40 || h.Sum > 7*8192+8192 {
		t.Errorf("they are %d ms together", h.Sum)
	}
}

// TestLags: a member that does not read lacks bytes, and they grow old; one that has all
// lacks nothing.
func TestLags(t *testing.T) {
	w := newWorld(t, Config{SendBuffer: 4 << 10}, &rooms.Class{Name: "stream", RetainAge: time.Minute})
	level := w.talk("all")
	w.publish("1", "all")
	level.expect(`{"room":"all"`)
	if lags := w.engine.Lags(testwait.Patience); len(lags) != 0 {
		t.Errorf("nobody lags, but %v", lags)
	}
	c := w.talk("side", "own:me")
	w.stamp = time.Now().UnixMilli() - 9000
	const frames = 30 // more in each room than the kernels of both ends take before they are full
	value := `"` + strings.Repeat("x", 9000) + `"`
	for range frames {
		w.publish(value, "side", "own:me")
	}
	w.settle()
	w.await(func() bool { return w.engine.Stats().Blocked == 1 })
	lag := map[string]Lag{}
	w.await(func() bool { // the loop may not have seen all yet, and sends while the client's kernel takes it
		for k, a := range w.engine.Lags(testwait.Patience) {
			lag[k.Name] = a
		}
		return len(lag) == 2
	})
	if a := lag["stream"]; a.Members != 1 || a.Bytes < 9000 || a.Bytes > frames*9200 || a.Age < 9*time.Second ||
		a.Age > 29*time.Second {
		t.Errorf("the stalled member's room: %+v", a)
	}
	if a := lag["private"]; a.Members != 1 || a.Bytes < 9000 || a.Bytes > frames*9200 || a.Age < 9*time.Second {
		t.Errorf("its own room: %+v", a)
	}
	for range 2 * frames {
		c.read()
	}
	w.await(func() bool { return len(w.engine.Lags(testwait.Patience)) == 0 })
}

// TestLagsInSteps: a walk that does not come to its end in one step goes on.
func TestLagsInSteps(t *testing.T) {
	w := newWorld(t, Config{Loops: 1})
	l := w.engine.loops[0]
	answer := l.lags.Ask(func() bool { return true })
	l.post(event{kind: evDo, arg: func(l *Loop) {
		// Many that seem to wait, each of which has the walk look at the clock.
		c := &Conn{loop: l, flags: fReady, slot: -1, state: stGone}
		l.life.conns = append(l.life.conns, slices.Repeat([]*Conn{c}, 500_000)...)
		walk := &lagWalk{found: map[*rooms.Class]*Lag{}}
		walk.step(l)
		if walk.at == 0 || walk.at == len(l.life.conns) {
			t.Errorf("the first step came to %d", walk.at)
		}
	}})
	<-answer
	over := make(chan struct{})
	l.post(event{kind: evDo, arg: func(l *Loop) { l.life.conns = l.life.conns[:0]; close(over) }})
	<-over
	if found := l.lags.Last(); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	l.post(event{kind: evDo, arg: func(l *Loop) { l.life.conns = nil }})
}

// TestAskOfOneThatStands: a question for lags or for the slowest does not wait for a loop
// that stands, gets what the others have, and asks it once.
func TestAskOfOneThatStands(t *testing.T) {
	w := newWorld(t, Config{Loops: 2})
	if list, late := w.engine.Slowest(3, testwait.Patience); len(list) != 0 || late != nil {
		t.Fatalf("slowest %v, late %q", list, late)
	}
	l := w.engine.loops[0]
	stands, free := make(chan struct{}), make(chan struct{})
	l.post(event{kind: evDo, arg: func(*Loop) { close(stands); <-free }})
	<-stands
	class := &rooms.Class{Name: "seen"}
	l.lags.Ask(func() bool { return true })
	l.lags.Answer(map[*rooms.Class]*Lag{class: {Members: 7}}) // before it stood
	for range 3 {
		if lags := w.engine.Lags(10 * time.Millisecond); lags[class].Members != 7 {
			t.Errorf("what it answered last is forgotten: %v", lags)
		}
		if _, late := w.engine.Slowest(3, 10*time.Millisecond); !slices.Contains(late, "loop 0") {
			t.Errorf("late are %q", late)
		}
	}
	if n, _ := l.inbox.length(); n > 2 {
		t.Errorf("%d events wait for it", n)
	}
	close(free)
	if lags := w.engine.Lags(testwait.Patience); len(lags) != 0 {
		t.Errorf("then %v lag", lags)
	}
	if _, late := w.engine.Slowest(3, testwait.Patience); late != nil {
		t.Errorf("then %q are late", late)
	}
}

// TestSlowestInSteps: neither many connections nor one with many rooms keep the loop from
// other work, and of all that lag the most are kept and no more.
func TestSlowestInSteps(t *testing.T) {
	w := newWorld(t, Config{Loops: 1})
	l := w.engine.loops[0]
	c := w.talk("all")
	w.publish("1", "all")
	c.expect(`{"room":"all"`)
	done := l.slow.Ask(func() bool { return true })
	came := make(chan int, 1)
	l.post(event{kind: evDo, arg: func(l *Loop) {
		sub := l.life.conns[0].members[0].Sub()
		l.life.conns = append(l.life.conns,
			&Conn{loop: l, slot: -1, state: stGone, members: make([]member.Member, 300_000)})
		for i := range l.life.conns[1].members {
			l.life.conns[1].members[i] = member.New(sub, 0, rooms.Plain)
		}
		walk := &slowWalk{top: newSlow(5)}
		walk.step(l)
		came <- walk.at
	}})
	if at := <-came; at != 1 {
		t.Errorf("the first step came to connection %d", at)
	}
	<-done
	if list := l.slow.Take(); len(list) != 5 || list[0].Behind != 1 || list[0].Room != "all" {
		t.Errorf("got %+v", list)
	}
	over := make(chan struct{})
	l.post(event{kind: evDo, arg: func(l *Loop) { l.life.conns = l.life.conns[:1]; close(over) }})
	<-over
}

// TestBusy: a loop that sleeps is not busy.
func TestBusy(t *testing.T) {
	w := newWorld(t, Config{})
	l, err := newLoop(w.engine, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	began := l.engine.now()
	l.looked, l.slept = began, began
	var ready [maxEvents]unix.EpollEvent
	for l.slept-began < 200*time.Millisecond {
		l.wait(ready[:])
		l.timers.turn()
	}
	work := 100 * time.Millisecond
	for until := time.Now().Add(work); time.Now().Before(until); {
	}
	l.timers.turn()
	l.stats.publish(l)
	took, busy := l.engine.now()-began, l.stats.published.Busy
	if busy < work || busy > took-200*time.Millisecond {
		t.Errorf("busy for %v of %v", busy, took)
	}
}
