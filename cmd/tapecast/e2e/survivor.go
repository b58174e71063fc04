package e2e

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tapecast/rooms/testwait"
)

// survivor is a client that stays: whatever ends its connection, it comes back with its positions,
// like README's. It must get each record of its rooms once.
type survivor struct {
	t     testing.TB
	user  string
	rooms []string
	open  func(user string) (*client, error)
	quit  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	c     *client              // nil while it is away
	begun map[string]positions // where it first joined
	since map[string]any
	got   map[string][]frame // of the connections that have ended
	wrong []string
	times int // it came back
}

// silence is how long a survivor hears nothing before it takes the network for dead.
const silence = 8 * time.Second

func survive(t testing.TB, user string, rooms []string, open func(user string) (*client, error)) *survivor {
	v := &survivor{t: t, user: user, rooms: rooms, open: open, quit: make(chan struct{}),
		begun: map[string]positions{}, since: map[string]any{}, got: map[string][]frame{}}
	v.ended.Go(v.run)
	t.Cleanup(v.stop)
	return v
}

func (v *survivor) stop() {
	select {
	case <-v.quit:
	default:
		close(v.quit)
	}
	v.ended.Wait()
}

func (v *survivor) run() {
	for {
		if c := v.enter(); c != nil {
			v.stay(c)
			v.gather(c)
		}
		select {
		case <-v.quit:
			return
		case <-time.After(200*time.Millisecond + upTo(300*time.Millisecond)): // as a client must
		}
	}
}

// enter connects and subscribes. It returns nil if that fails.
func (v *survivor) enter() *client {
	c, err := v.open(v.user)
	if err != nil {
		return nil
	}
	v.mu.Lock()
	since := maps.Clone(v.since)
	v.mu.Unlock()
	if !v.answered(c, "1", "authenticate", map[string]any{"join": []string{}}) {
		c.conn.Close()
		return nil
	}
	for try := 0; ; try++ {
		var asked []string
		for _, room := range v.rooms {
			c.mu.Lock()
			if c.rooms[room] == nil {
				asked = append(asked, room)
			}
			c.mu.Unlock()
		}
		if asked == nil {
			break
		}
		maps.DeleteFunc(since, func(room string, _ any) bool { return !slices.Contains(asked, room) })
		id := fmt.Sprint(try + 2)
		if !v.answered(c, id, "subscribe", map[string]any{"rooms": asked, "since": since}) {
			c.conn.Close()
			v.gather(c)
			return nil
		}
		v.joined(c, id)
		if try == 100 {
			c.mu.Lock()
			v.fault("not let into %v: %s %v", asked, c.replies[id].Result, c.replies[id].Error)
			c.mu.Unlock()
			break
		}
		if try > 0 {
			testwait.Pause(100 * time.Millisecond) // some said -32010, which tells a client to wait
		}
	}
	v.mu.Lock()
	v.c = c
	v.times++
	v.mu.Unlock()
	return c
}

func (v *survivor) fault(format string, args ...any) {
	v.mu.Lock()
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
	v.mu.Unlock()
}

// joined takes what the answer to subscribe says.
func (v *survivor) joined(c *client, id string) {
	c.mu.Lock()
	list := roomReplies(c.replies[id].Result)
	c.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range list {
		switch {
		case r.Error != nil && r.Error.Code == -32010:
		case r.Error != nil:
			v.wrong = append(v.wrong, fmt.Sprintf("subscribe: %v", *r.Error))
		case v.begun[r.Room].at == nil:
			v.begun[r.Room] = r.Positions
		}
	}
}

// answered sends a request and waits for its answer. It returns false if the connection ends, or stays
// silent.
func (v *survivor) answered(c *client, id, method string, params any) bool {
	c.request(id, method, params)
	late := time.AfterFunc(silence, func() { c.conn.Close() })
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		if _, ok := c.replies[id]; ok {
			return true
		}
		c.news.Wait()
	}
	return false
}

// stay waits for the end of the connection.
func (v *survivor) stay(c *client) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	heard, last := time.Now(), ""
	for {
		select {
		case <-v.quit:
			c.conn.Close()
		case <-tick.C:
		}
		c.mu.Lock()
		closed, now := c.closed, fmt.Sprint(len(c.notices), c.frames())
		c.mu.Unlock()
		switch {
		case closed:
			return
		case now != last:
			heard, last = time.Now(), now
		case time.Since(heard) > silence:
			c.conn.Close()
		}
	}
}

// frames returns how many frames came, in all rooms. The client is locked.
func (c *client) frames() (n int) {
	for _, r := range c.rooms {
		n += len(r.frames)
	}
	return n
}

// gather keeps what a connection that has ended brought.
func (v *survivor) gather(c *client) {
	c.mu.Lock()
	for !c.closed {
		c.news.Wait()
	}
	defer c.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.c = nil
	v.wrong = append(v.wrong, c.faults...)
	for name, r := range c.rooms {
		v.got[name] = append(v.got[name], r.frames...)
		v.since[name] = positions{epoch: r.epoch, at: r.seen}.object()
		v.wrong = append(v.wrong, r.faults...)
		if r.gaps > 0 {
			v.wrong = append(v.wrong, fmt.Sprintf("%d gaps in %s", r.gaps, name))
		}
	}
}

// frames returns all that it has of a room.
func (v *survivor) frames(room string) []frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.got[room]
	if v.c != nil {
		v.c.mu.Lock()
		defer v.c.mu.Unlock()
		if r := v.c.rooms[room]; r != nil {
			all = slices.Concat(all, r.frames)
		}
	}
	return all
}

// room returns what its connection knows of a room, for use in f. It returns false if it is away.
func (v *survivor) room(name string, f func(r *room)) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.c == nil {
		return false
	}
	v.c.mu.Lock()
	defer v.c.mu.Unlock()
	if r := v.c.rooms[name]; r != nil {
		f(r)
		return true
	}
	return false
}

// restart forgets what it has of a room. It expects the records after these positions from now on.
func (v *survivor) restart(name string, at map[int32]int64) {
	v.room(name, func(r *room) { r.frames, r.gaps = nil, 0 })
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begun[name], v.got[name] = positions{at: at}, nil
}

// exactly compares what it has of a room with the topic. It returns "" if it has each record of its own
// since it first joined, once and in order.
func (v *survivor) exactly(room string, topic [][]record) string {
	got, all := map[int32][]summed{}, v.frames(room)
	for _, f := range all {
		got[f.part] = append(got[f.part], summed{f.part, f.off, crc32.ChecksumIEEE(f.data)})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wrong != nil {
		return strings.Join(v.wrong[:min(3, len(v.wrong))], "; ")
	}
	want, total := map[int32][]summed{}, 0
	for p, recs := range topic {
		from, ok := v.begun[room].at[int32(p)]
		if !ok { // the partition is younger
			from = -1
		}
		for _, r := range recs {
			if r.offset > from && (room == "feed" || string(r.key) == v.user) {
				want[int32(p)] = append(want[int32(p)], summed{int32(p), r.offset, crc32.ChecksumIEEE(r.value)})
				total++
			}
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		return fmt.Sprintf("%s has %d frames of %s, the topic has %d for it; they are not the same: %s", v.user,
			len(all), room, total, differs(got, want))
	}
	return ""
}

// differs tells of the first partition that is not the same.
func differs(got, want map[int32][]summed) string {
	for p, w := range want {
		g := got[p]
		for i := range w {
			if i >= len(g) {
				return fmt.Sprintf("partition %d ends before %v", p, w[i])
			}
			if g[i] != w[i] {
				return fmt.Sprintf("partition %d has %v where %v is wanted", p, g[i], w[i])
			}
		}
		if len(g) > len(w) {
			return fmt.Sprintf("partition %d goes on with %v", p, g[len(w)])
		}
	}
	return "a partition too many"
}
