package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms"
)

// part returns the first records that a request asks for, at most most, with how far they go.
func (w *world) part(r *rooms.Recall, most int) *rooms.Past {
	w.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(w.all[r.Room]), func(x rooms.Record) bool {
		return x.Offset <= r.After[0].Offset || x.Offset > r.UpTo[0].Offset
	})
	w.mu.Unlock()
	var upTo []rooms.Pos
	if len(list) > most {
		upTo = []rooms.Pos{{Offset: list[most].Offset - 1}}
		list = list[:most]
	}
	return rooms.NewPast(r.Pattern, r.Room, list, r.Last).Share(upTo, nil)
}

// TestRecallOfConnection: what is read again for a connection has a budget. A join that comes when it is
// used up is refused for now. The rest of a past that was begun waits, and nothing of it is lost.
func TestRecallOfConnection(t *testing.T) {
	const frames, part = 60, 10
	var w *world
	var given, most, waits atomic.Int64
	w = newWorld(t, Config{
		RecallGiven: func(_ *Conn, n int64) { given.Add(n) },
		RecallBegins: func(*Conn) (time.Duration, bool) {
			if given.Load() < most.Load() {
				return 0, true
			}
			waits.Add(1)
			return 10 * time.Millisecond, true
		},
		Recall: func(r *rooms.Recall) {
			go r.Done(w.part(r, part), nil)
		},
	}, &rooms.Class{Name: "stream", RetainBytes: 4 << 10})
	for i := range frames {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", 1000)), "all")
	}
	c := w.talk()
	if text := c.ask("since all=e1:0", "since all{}"); !strings.Contains(text, "was given many messages") {
		t.Errorf("without a budget: %s", text)
	}
	c.ask("list", "list")
	most.Store(1)
	c.ask("since all=e1:0", `since all{"epoch":"e1","0":0}`)
	at := 1 // the offset of the next message
	next := func(n int) {
		t.Helper()
		for ; n > 0; n, at = n-1, at+1 {
			c.expect(fmt.Sprintf(`{"room":"all","type":"t","pos":"0:%d"`, at))
		}
	}
	next(part)
	was := waits.Load()
	w.await(func() bool { return waits.Load() > was+3 }) // it asks again
	c.ask("still here", "still here")
	most.Store(1 << 40)
	next(frames - 1 - part)
	if n := given.Load(); n < frames*1000 {
		t.Errorf("%d bytes are counted", n)
	}
	w.publish("1", "all")
	next(1)
}

// counting is a world that reads again in parts, each when it may go on.
type counting struct {
	*world
	counted                 atomic.Bool // a budget counts what is read
	under, most, all, first atomic.Int64
	goOn                    chan struct{}
}

func newCounting(t *testing.T, part int) *counting {
	k := &counting{goOn: make(chan struct{}, 1000)}
	k.world = newWorld(t, Config{
		RecallBegins: func(*Conn) (time.Duration, bool) { return 0, k.counted.Load() },
		Recall: func(r *rooms.Recall) {
			n := k.under.Add(1)
			k.most.Store(max(k.most.Load(), n))
			k.all.Add(1)
			if !r.More && !r.Next {
				k.first.Add(1)
			}
			past := k.part(r, part)
			go func() {
				<-k.goOn
				k.under.Add(-1)
				r.Done(past, nil)
			}()
		},
	}, &rooms.Class{Name: "stream", RetainBytes: 4 << 10})
	return k
}

// TestRecallsOneByOne: what several rooms of one connection lack is read room by room if it has a budget,
// in a join and later. The budget is asked in between, since what they are given together may be many times
// what it allows.
func TestRecallsOneByOne(t *testing.T) {
	const frames, part = 60, 10
	w := newCounting(t, part)
	names := []string{"all", "side", "wild:a", "wild:b"}
	for i := range frames {
		w.publish(fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", 1000)), names...)
	}
	ask := "since " + strings.Join(names, "=e1:3,") + "=e1:3"
	f := func(limited bool) (together int64) {
		t.Helper()
		w.counted.Store(limited)
		w.most.Store(0)
		w.first.Store(0)
		was := w.all.Load()
		c := w.talk()
		c.write(1, ask)
		if !limited {
			w.await(func() bool { return w.under.Load() == int64(len(names)) })
		}
		for range cap(w.goOn) - len(w.goOn) {
			w.goOn <- struct{}{}
		}
		c.expect("since ")
		for n := 0; n < len(names)*frames-8; n++ {
			if _, text := c.read(); !strings.HasPrefix(text, `{"room":"`) {
				t.Fatalf("after %d messages: %.100s", n, text)
			}
		}
		if n := w.all.Load() - was; n < int64(len(names)*2) {
			t.Fatalf("only %d reads", n)
		}
		c.conn.Close()
		return w.most.Load()
	}
	if n := f(false); n != int64(len(names)) {
		t.Errorf("without a budget %d rooms were read at once", n)
	}
	if n := w.first.Load(); n != int64(len(names)) {
		t.Errorf("without a budget %d rooms are said to come first", n)
	}
	if n := f(true); n != 1 {
		t.Errorf("with a budget %d rooms were read at once", n)
	}
	if n := w.first.Load(); n != 1 {
		t.Errorf("with a budget %d rooms are said to come first", n)
	}
}

// TestRecallWait: however many members of a connection wait, they ask a few hundred times a second.
func TestRecallWait(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000, 4000} {
		const tries = 1000
		var all time.Duration
		for range tries {
			all += max(recallWait(n), 100*time.Millisecond) // as package member does
		}
		if rate := float64(n) / (all / tries).Seconds(); rate > 500 {
			t.Errorf("%d members ask %.0f times a second", n, rate)
		}
	}
	if wait := recallWait(1); wait > recallTurn {
		t.Errorf("one member waits for %v", wait)
	}
}
