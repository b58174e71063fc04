package hostile

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/client"
	"tapecast/bench/job"
	"tapecast/bench/proto"
)

type kind struct {
	Name, does string
	Anonymous  bool   // it works without a token
	mute       bool   // the connection is not upgraded
	rcvBuf     int    // of its sockets; 0: the kernel's choice
	Room       string // the room if the job names none; "": the first ordinary one

	// attack does the harm on one connection until it ends, and returns how it ended.
	attack func(h *attacker, c *conn) string
}

// kinds are all kinds of harm.
var kinds = []kind{
	{Name: "pings", does: "empty ping frames, as fast as they go", Anonymous: true, attack: flooding},
	{Name: "pings-125", does: "ping frames of 125 bytes", Anonymous: true, attack: flooding},
	{Name: "pongs", does: "empty pong frames without a ping", Anonymous: true, attack: flooding},
	{Name: "continuations", does: "empty fragments of a message that does not end", Anonymous: true, attack: flooding},
	{Name: "requests", does: "the method ping, as fast as it goes", Anonymous: true, attack: flooding},
	{Name: "toggle", does: "subscribe to a room with its snapshot, and unsubscribe, in turn", attack: toggling},
	{Name: "silent", does: "sockets that send nothing", Anonymous: true, mute: true, attack: keepingSilent},
	{Name: "hello", does: "a TLS ClientHello, and nothing after it", Anonymous: true, mute: true, attack: sayingHello},
	{Name: "resume", does: "resume of a private room from its start, repeatedly",
		Room: "orders:{user}", attack: resuming},
	{Name: "stalled", does: "resume of a room from its start, which is not read", rcvBuf: 4096, attack: stalling},
	{Name: "junk-rooms", does: "1,000 invented room names on each connection", attack: inventing},
}

// Kinds returns the names of all kinds.
func Kinds() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return names
}

// KindsHelp describes each kind in one line.
func KindsHelp() string {
	text := ""
	for _, k := range kinds {
		text += fmt.Sprintf("  %-14s %s\n", k.Name, k.does)
	}
	return text
}

// KindOf returns the kind with a name, nil if there is none.
func KindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}

// flood is what a flooding client writes: first once, then again repeatedly.
type flood struct {
	first, again []byte
	frames       int64 // frames in again
}

// floodSize is about the size of one write: far more than a frame, but slower reading shows soon.
const floodSize = 64 << 10

// newFlood returns the flood of a kind, nil if the kind does not flood.
func newFlood(kind string) *flood {
	f := &flood{}
	var one func(dst []byte) []byte
	plain := func(op byte, payload []byte) func([]byte) []byte {
		return func(dst []byte) []byte { return proto.AppendFrame(dst, op, payload) }
	}
	switch kind {
	case "pings":
		one = plain(proto.OpPing, nil)
	case "pings-125":
		one = plain(proto.OpPing, make([]byte, 125))
	case "pongs":
		one = plain(proto.OpPong, nil)
	case "continuations":
		f.first = unfinished(plain(proto.OpText, []byte("{"))(nil))
		one = func(dst []byte) []byte {
			at := len(dst)
			dst = plain(opContinuation, nil)(dst)
			unfinished(dst[at:])
			return dst
		}
	case "requests":
		one = plain(proto.OpText, []byte(`{"method":"ping","id":1}`))
	default:
		return nil
	}
	for len(f.again) < floodSize {
		f.again = one(f.again)
		f.frames++
	}
	return f
}

// opContinuation continues a fragmented message (RFC 6455, 5.4).
const opContinuation = 0

// unfinished clears a frame's FIN bit, so that further fragments must follow.
func unfinished(frame []byte) []byte {
	frame[0] &^= 0x80
	return frame
}

func flooding(h *attacker, c *conn) string {
	ended := c.listen()
	f := h.flood
	if _, err := c.write(f.first, 1); err != nil {
		return c.broken(ended, err)
	}
	for {
		n, err := c.write(f.again, 0)
		c.out.Frames += f.frames * int64(n) / int64(len(f.again))
		if err != nil {
			return c.broken(ended, err)
		}
	}
}

// paced calls do so many times a second, until the connection ends. Late calls are not made up for.
func paced(h *attacker, c *conn, do func(n int) error) string {
	ended := c.listen()
	tick := time.NewTicker(max(time.Microsecond, time.Duration(1e9/h.job.Rate)))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case why := <-ended:
			return why
		case <-tick.C:
		}
		if err := do(n); err != nil {
			return c.broken(ended, err)
		}
	}
}

func toggling(h *attacker, c *conn) string {
	room := proto.List([]string{h.room(c.n)})
	return paced(h, c, func(n int) error {
		if n%2 == 1 {
			return c.request(proto.LeaveRequest, room, n+1)
		}
		return c.request(`{"method":"subscribe","params":{"rooms":%s,"snapshot":true},"id":%d}`, room, n+1)
	})
}

func keepingSilent(_ *attacker, c *conn) string { return c.drain() }

// sayingHello starts a TLS handshake, and leaves the gateway waiting for the rest.
func sayingHello(h *attacker, c *conn) string {
	if _, err := c.write(h.hello, 1); err != nil {
		return client.EndOf(0, nil, err)
	}
	return c.drain()
}

// clientHello returns the first record that crypto/tls sends to a host.
func clientHello(host string) ([]byte, error) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }() // also ends the handshake
	go func() {
		cfg := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
		_ = tls.Client(here, cfg).Handshake() // it cannot succeed
		_ = here.Close()
	}()
	record := make([]byte, 5)
	if _, err := io.ReadFull(there, record); err != nil {
		return nil, fmt.Errorf("cannot make a ClientHello: %w", err)
	}
	body := make([]byte, int(record[3])<<8|int(record[4]))
	if _, err := io.ReadFull(there, body); err != nil {
		return nil, fmt.Errorf("cannot make a ClientHello: %w", err)
	}
	return append(record, body...), nil
}

// AnswerPatience is how long a hostile client waits for an answer before it starts again.
// It is longer than a gateway takes. A sink gives no answer.
const AnswerPatience = 20 * time.Second

// beginning joins a room and leaves it. It returns the position before the room's first
// message, in the form of `since`. why is how the connection ended meanwhile, if it did.
func beginning(c *conn, room string) (since, why string) {
	p, why := c.ask(1, proto.JoinRequest, proto.List([]string{room}))
	if why != "" {
		return "", why
	}
	_, why = c.ask(2, proto.LeaveRequest, proto.List([]string{room}))
	return fmt.Sprintf(`{%s:%s}`, proto.JSON(room), firstPosition(p)), why
}

// firstPosition returns the position before the first message of each partition that an
// answer to `subscribe` names, or of partition 0 if it names none.
func firstPosition(answer []byte) string {
	var m proto.Message
	at := map[string]any{"epoch": "none", "0": -1}
	if json.Unmarshal(answer, &m) == nil && len(m.Result.Rooms) == 1 && m.Result.Rooms[0].Positions != nil {
		named := map[string]any{}
		if json.Unmarshal(m.Result.Rooms[0].Positions, &named) == nil && len(named) > 1 {
			at = named
		}
	}
	for k := range at {
		if k != "epoch" {
			at[k] = -1
		}
	}
	return proto.JSON(at)
}

// resuming asks for everything that a room ever had, and again after the answer.
func resuming(h *attacker, c *conn) string {
	room := h.room(c.n)
	since, why := beginning(c, room)
	for id := 3; why == ""; id += 2 {
		_, why = c.ask(id, proto.PastRequest(since), proto.List([]string{room}))
		if why == "" {
			_, why = c.ask(id+1, proto.LeaveRequest, proto.List([]string{room}))
		}
		if why == "" {
			why = c.rest(time.Duration(1e9 / h.job.Rate))
		}
	}
	return why
}

// stalling asks for everything that a room ever had, and does not read it.
func stalling(h *attacker, c *conn) string {
	room := h.room(c.n)
	since, why := beginning(c, room)
	if why != "" {
		return why
	}
	if err := c.request(proto.PastRequest(since), proto.List([]string{room}), 3); err != nil {
		return client.EndOf(0, nil, err)
	}
	for {
		if why := c.gone(); why != "" {
			return why
		}
		if why := c.rest(100 * time.Millisecond); why != "" {
			return why
		}
	}
}

// junkRooms is how many invented names a connection subscribes to, junkEach how many in a
// request.
const (
	junkRooms = 1000
	junkEach  = 250
)

func inventing(h *attacker, c *conn) string {
	ended := c.listen()
	for n := 0; n < junkRooms; n += junkEach {
		if err := c.request(proto.JoinRequest, proto.List(h.junkNames(c, n)), n+1); err != nil {
			return c.broken(ended, err)
		}
	}
	return <-ended
}

// junkNames returns room names that no client has used before.
func (h *attacker) junkNames(c *conn, from int) []string {
	var names []string
	for k := range junkEach {
		names = append(names, fmt.Sprintf("%sJUNK%d_%d_%d", h.job.Junk, c.n, c.round, from+k))
	}
	return names
}

// gone returns how a connection ended that no goroutine reads from; "": it has not ended.
func (c *conn) gone() string {
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return job.RootOf(err)
	}
	var events int16
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(p, 0); err == nil {
			events = p[0].Revents
		}
	})
	switch {
	case err != nil:
		return job.RootOf(err)
	case events&(unix.POLLERR|unix.POLLHUP) != 0:
		return "reset, or cut while the client did not read"
	case events&unix.POLLRDHUP != 0:
		return "closed while the client did not read"
	}
	return ""
}
