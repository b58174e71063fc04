package loop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tapecast/rooms"
)

type message struct {
	Method string
	Room   string
	Pos    string
	Prev   string
	Data   json.RawMessage
}

// TestDescriptorReuse has clients come and go, in every manner, while two
// rooms are broadcast and each client gets messages of its own. Whatever
// arrives must be meant for the client that reads it.
func TestDescriptorReuse(t *testing.T) {
	total := 10_000
	if raceEnabled || testing.Short() {
		total = 2_000
	}
	comeAndGo(t, Config{Loops: 2, Pollers: 2}, total)
}

func comeAndGo(t *testing.T, cfg Config, total int) {
	const workers = 32
	w := newWorld(t, cfg)
	stop := make(chan struct{})
	var names sync.Map
	var broadcaster sync.WaitGroup
	broadcaster.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			to := []string{"all", "side"}
			names.Range(func(k, _ any) bool { to = append(to, "own:"+k.(string)); return true })
			w.publish(fmt.Sprintf(`{"n":%d}`, i), to...)
		}
	})
	var next atomic.Int64
	var own atomic.Int64
	var clients sync.WaitGroup
	for range workers {
		clients.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(total) || t.Failed() {
					return
				}
				name := fmt.Sprintf("u%d", i)
				names.Store(name, true)
				own.Add(int64(w.visit(name, int(i))))
				names.Delete(name)
			}
		})
	}
	clients.Wait()
	close(stop)
	broadcaster.Wait()
	if own.Load() == 0 {
		t.Error("no client got a message of its own: the test has shown nothing")
	}
	t.Logf("%d clients, %d messages of their own", total, own.Load())
}

// visit is one client's life; it returns how many messages of its own it got.
func (w *world) visit(name string, i int) (own int) {
	conn, br := w.dial(name, "all", "side", "own:"+name)
	defer conn.Close()
	last := map[string]string{}
	want := rand.IntN(20)
	for n := 0; n < 2+want; n++ {
		f, err := ws.ReadFrame(br)
		if err != nil {
			w.t.Errorf("%s: %v", name, err)
			return own
		}
		switch text := string(f.Payload); {
		case n == 0:
			if text != "hello "+name {
				w.t.Errorf("%s was greeted with %q", name, text)
			}
		case n == 1:
			if text != "joined" {
				w.t.Errorf("%s: %q came before the join's reply", name, text)
			}
		default:
			var m message
			if err := json.Unmarshal(f.Payload, &m); err != nil {
				w.t.Errorf("%s: a torn frame %q", name, text)
				return own
			}
			if m.Room != "all" && m.Room != "side" && m.Room != "own:"+name {
				w.t.Errorf("%s got a message of %s", name, m.Room)
			}
			if prev, ok := last[m.Room]; ok && m.Prev != prev {
				w.t.Errorf("%s: %s %s says prev %q, after %q", name, m.Room, m.Pos, m.Prev, prev)
			}
			last[m.Room] = m.Pos
			if m.Room == "own:"+name {
				own++
			}
		}
	}
	switch i % 4 {
	case 0: // a reset, with input unread
		tcp(conn).SetLinger(0)
	case 1: // half a frame, then the end
		conn.Write([]byte{0x81, 0xfe, 1})
	case 2: // the closing handshake, answered behind data
		ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
		for {
			f, err := ws.ReadFrame(br)
			if err != nil {
				w.t.Errorf("%s: no close frame: %v", name, err)
				return own
			}
			if f.Header.OpCode == ws.OpClose {
				return own
			}
		}
	}
	return own
}

// TestTornFrames has slow readers, with tiny kernel buffers, behind a tape
// that retention cuts short. Whatever they get are whole frames; what they
// miss is told by a gap; pongs come between.
func TestTornFrames(t *testing.T) { readSlowly(t, Config{SendBuffer: 4 << 10}) }

func readSlowly(t *testing.T, cfg Config) {
	w := newWorld(t, cfg, &rooms.Class{Name: "stream", RetainBytes: 128 << 10, RetainAge: time.Minute})
	const messages = 1500
	readers := make([]*slowReader, 16)
	var ready, done sync.WaitGroup
	ready.Add(len(readers))
	for i := range readers {
		r := &slowReader{w: w, i: i, last: -1}
		readers[i] = r
		done.Go(func() {
			conn, br := w.dial(fmt.Sprint("r", i), "all")
			defer conn.Close()
			tcp(conn).SetReadBuffer(2 << 10)
			ready.Done()
			r.readTo(messages, conn, br)
		})
	}
	ready.Wait()
	w.await(func() bool { return w.engine.Stats().Members == int64(len(readers)) })
	tick := time.NewTicker(300 * time.Microsecond)
	defer tick.Stop()
	for n := range messages {
		<-tick.C
		size := 100 + n%7*300
		if n%100 == 99 {
			size = 40 << 10 // alone in its chunk
		}
		w.publish(fmt.Sprintf(`{"N":%d,"Pad":"%s"}`, n, strings.Repeat(string(rune('a'+n%26)), size)), "all")
	}
	done.Wait()
	gaps, pongs := 0, 0
	for _, r := range readers {
		gaps, pongs = gaps+r.gaps, pongs+r.pongs
	}
	s := w.engine.Stats()
	if gaps == 0 || pongs == 0 || s.Partial == 0 {
		t.Errorf("%d gaps, %d pongs, %d partial sends: the test has shown nothing", gaps, pongs, s.Partial)
	}
	t.Logf("%d gaps, %d pongs, %d partial sends of %d", gaps, pongs, s.Partial, s.Sends)
}

// slowReader is a client of room all, and what it saw there.
type slowReader struct {
	w       *world
	i       int
	last    int // message
	lastPos string

	gaps, pongs int
}

func (r *slowReader) readTo(messages int, conn net.Conn, br *bufio.Reader) {
	for n := 0; r.last < messages-1; n++ {
		if n%50 == 25 {
			ws.WriteFrame(conn, ws.MaskFrame(ws.NewPingFrame([]byte("p"))))
		}
		if n%20 == r.i%20 { // it lets the others be this far ahead
			r.w.awaitPublished(min(r.last+60, messages))
		}
		f, err := ws.ReadFrame(br)
		if err != nil {
			r.w.t.Errorf("reader %d after message %d: %v", r.i, r.last, err)
			return
		}
		if f.Header.OpCode == ws.OpPong {
			r.pongs++
		} else if n >= 2 && !r.take(f.Payload) { // hello and joined are first
			return
		}
	}
}

// take reports whether what came is a whole message, and tells what is wrong with it.
func (r *slowReader) take(p []byte) bool {
	var m message
	if err := json.Unmarshal(p, &m); err != nil {
		r.w.t.Errorf("reader %d: a torn frame of %d bytes after message %d", r.i, len(p), r.last)
		return false
	}
	if m.Method == "gap" {
		r.gaps++
		r.lastPos = ""
		return true
	}
	var data struct {
		N   int
		Pad string
	}
	if err := json.Unmarshal(m.Data, &data); err != nil || strings.Trim(data.Pad, string(rune('a'+data.N%26))) != "" {
		r.w.t.Errorf("reader %d: message %d is not what was published", r.i, data.N)
	}
	if data.N <= r.last || r.lastPos != "" && m.Prev != r.lastPos {
		r.w.t.Errorf("reader %d: message %d (prev %s) after %d (%s) without a gap", r.i, data.N,
			m.Prev, r.last, r.lastPos)
	}
	r.last, r.lastPos = data.N, m.Pos
	return true
}
