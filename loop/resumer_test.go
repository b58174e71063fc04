package loop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"tapecast/rooms/testwait"

	"github.com/gobwas/ws"
)

// resumer is a client that keeps what it has of each room.
type resumer struct {
	p    *parts
	conn net.Conn
	br   *bufio.Reader
	key  string // the only one it wants
	last map[string][2]int64
	got  map[string]int
	bare int // messages without prev
	gaps int
	// skips says that what comes until the reply to a leave is behind a gap: it comes again.
	skips bool
}

func (r *resumer) dial() {
	r.conn, r.br = r.p.dial("me")
}

func (r *resumer) say(text string) error {
	return ws.WriteFrame(r.conn, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
}

// since is a request to go on in a room from where the client is.
func (r *resumer) since(room string) string {
	place := func(room string) string { return fmt.Sprintf("e1:%d:%d", r.last[room][0], r.last[room][1]) }
	ask := "since " + room + "=" + place(room)
	if strings.HasPrefix(room, "wild:") {
		ask = "since wild:*>wild:a>wild:b=" + place("wild:a") + "+" + place("wild:b")
	}
	if r.key != "" {
		ask += "/" + r.key
	}
	return ask
}

// read takes one message, and returns what is none of a room.
func (r *resumer) read() (other string, err error) {
	r.conn.SetReadDeadline(time.Now().Add(testwait.Patience))
	f, err := ws.ReadFrame(r.br)
	if err != nil {
		return "", err
	}
	var m struct{ Room, Key, Pos, Prev, Data, Method string }
	if json.Unmarshal(f.Payload, &m) != nil || m.Room == "" {
		return string(f.Payload), nil
	}
	if r.skips {
		return "", nil
	}
	var part, off, prev int64
	fmt.Sscanf(m.Pos, "%d:%d", &part, &off)
	at, ok := r.last[m.Room]
	if !ok {
		at = [2]int64{-1, -1}
	}
	if off <= at[part] {
		return "", fmt.Errorf("%s %s came after %d", m.Room, m.Pos, at[part])
	}
	if r.key != "" && m.Key != r.key {
		return "", fmt.Errorf("key %s came", m.Key)
	}
	if m.Prev == "" {
		r.bare++
	} else if fmt.Sscanf(m.Prev, "%d:%d", &part, &prev); r.key == "" && prev != at[part] {
		return "", fmt.Errorf("%s %s says that %s is before it, %d was", m.Room, m.Pos, m.Prev, at[part])
	}
	at[part] = off
	r.last[m.Room] = at
	r.got[m.Room]++
	return "", nil
}

// readTo reads until the rooms have each so many messages; stall is called between two.
func (r *resumer) readTo(want map[string]int, stall func()) error {
	for room, n := range want {
		for r.got[room] < n {
			other, err := r.read()
			if err != nil {
				return fmt.Errorf("%s with %d of %d: %w", room, r.got[room], n, err)
			}
			switch {
			case strings.HasPrefix(other, "since") && strings.Contains(other, "{}"):
				return fmt.Errorf("heard %s", other)
			case strings.Contains(other, `"gap"`): // live, it was too slow: it goes on from where it is
				if r.gaps++; r.gaps > 10 {
					return fmt.Errorf("heard %s, after ten others", other)
				}
				if err := r.again(room); err != nil {
					return err
				}
			}
			stall()
		}
	}
	return nil
}

// leave leaves a room; what comes before the reply counts, unless a gap is before it.
func (r *resumer) leave(room string) error {
	if strings.HasPrefix(room, "wild:") {
		room = "wild:*"
	}
	err := r.say("leave " + room)
	for other := ""; err == nil && !strings.HasPrefix(other, "leave"); {
		other, err = r.read()
		r.skips = r.skips || strings.Contains(other, `"gap"`)
	}
	r.skips = false
	return err
}

// again goes on from where the client is.
func (r *resumer) again(room string) error {
	r.skips = true
	if err := r.leave(room); err != nil {
		return err
	}
	return r.say(r.since(room))
}

// roam reads some of room all, leaves or hangs up, and goes on, until it has all.
func (r *resumer) roam(records int) error {
	for r.got["all"] < records {
		r.dial()
		for range 4 {
			if err := r.say(r.since("all")); err != nil {
				return err
			}
			next := min(records, r.got["all"]+1+rand.IntN(120))
			if err := r.readTo(map[string]int{"all": next}, func() {}); err != nil {
				return err
			}
			if r.got["all"] >= records || rand.IntN(3) == 0 {
				break
			}
			if err := r.leave("all"); err != nil {
				return err
			}
		}
		r.conn.Close()
	}
	return nil
}

// leavesAtOnce joins at position 7 and leaves in one write. The client is then where
// its last message was, not where its walk had come to. The loop may send 18 before it
// takes the second request.
func (c *client) leavesAtOnce() {
	c.t.Helper()
	c.writeAll("since last=e1:7", "leave last")
	c.hears("", `since last{"epoch":"e1","0":7}`)
	position := "7"
	_, got := c.read()
	if strings.HasSuffix(got, `"data":18}`) {
		position = "18"
		_, got = c.read()
	}
	if want := `leave last{"epoch":"e1","0":` + position + `}`; got != want {
		c.t.Errorf("it left with %q, not %q", got, want)
	}
}
