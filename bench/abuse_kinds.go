package bench

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// hostileKind is one way to do harm.
type hostileKind struct {
	name, does string
	anonymous  bool   // it makes sense without a token
	mute       bool   // the connection is not upgraded
	rcvBuf     int    // of its sockets; 0: the kernel's choice
	room       string // to use where none is given; "": the first ordinary one

	// attack does the harm on one connection until that ends, and returns how it did.
	attack func(h *hostile, c *hostileConn) string
}

// hostileKinds are all of them.
var hostileKinds = []hostileKind{
	{name: "pings", does: "empty ping frames, as fast as they go", anonymous: true, attack: flooding},
	{name: "pings-125", does: "ping frames of 125 bytes", anonymous: true, attack: flooding},
	{name: "pongs", does: "empty pong frames that nobody asked for", anonymous: true, attack: flooding},
	{name: "continuations", does: "empty fragments of a message that never ends", anonymous: true, attack: flooding},
	{name: "requests", does: "the method ping, as fast as it goes", anonymous: true, attack: flooding},
	{name: "toggle", does: "subscribe to a room with its snapshot and unsubscribe, in turns", attack: toggling},
	{name: "silent", does: "sockets that say nothing", anonymous: true, mute: true, attack: keepingSilent},
	{name: "hello", does: "a TLS ClientHello, and no more", anonymous: true, mute: true, attack: sayingHello},
	{name: "resume", does: "the past of a room of its own, again and again", room: "orders:{user}", attack: resuming},
	{name: "stalled", does: "the past of a room, which is not read", rcvBuf: 4096, attack: stalling},
	{name: "junk-rooms", does: "1,000 made-up names of rooms on each connection", attack: inventing},
}

// AbuseKinds lists what hostile clients can do.
func AbuseKinds() []string {
	var names []string
	for _, k := range hostileKinds {
		names = append(names, k.name)
	}
	return names
}

// AbuseKindsHelp says in a line each what they do.
func AbuseKindsHelp() string {
	text := ""
	for _, k := range hostileKinds {
		text += fmt.Sprintf("  %-14s %s\n", k.name, k.does)
	}
	return text
}

func kindOf(name string) *hostileKind {
	for i := range hostileKinds {
		if hostileKinds[i].name == name {
			return &hostileKinds[i]
		}
	}
	return nil
}

// flood is what a flooding client writes: first once, and then again over and over.
type flood struct {
	first, again []byte
	frames       int64 // in again
}

// floodSize is about how much one write takes: far more than a frame, and few enough
// that a gateway that reads less is noticed soon.
const floodSize = 64 << 10

// newFlood makes the flood of a kind; nil: it is none.
func newFlood(kind string) *flood {
	f := &flood{}
	var one func(dst []byte) []byte
	plain := func(op byte, payload []byte) func([]byte) []byte {
		return func(dst []byte) []byte { return appendFrame(dst, op, payload, maskKey()) }
	}
	switch kind {
	case "pings":
		one = plain(opPing, nil)
	case "pings-125":
		one = plain(opPing, make([]byte, 125))
	case "pongs":
		one = plain(opPong, nil)
	case "continuations":
		f.first = unfinished(plain(opText, []byte("{"))(nil))
		one = func(dst []byte) []byte {
			at := len(dst)
			dst = plain(opContinuation, nil)(dst)
			unfinished(dst[at:])
			return dst
		}
	case "requests":
		one = plain(opText, []byte(`{"method":"ping","id":1}`))
	default:
		return nil
	}
	for len(f.again) < floodSize {
		f.again = one(f.again)
		f.frames++
	}
	return f
}

// opContinuation goes on with a fragmented message (RFC 6455, 5.4).
const opContinuation = 0

// unfinished has a frame be followed by further fragments.
func unfinished(frame []byte) []byte {
	frame[0] &^= 0x80
	return frame
}

// flooding writes as fast as the gateway takes it.
func flooding(h *hostile, c *hostileConn) string {
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

// paced has do called so many times a second, until the connection ends. What is
// late is not made up for.
func paced(h *hostile, c *hostileConn, do func(n int) error) string {
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

func toggling(h *hostile, c *hostileConn) string {
	room := list([]string{h.room(c.n)})
	return paced(h, c, func(n int) error {
		if n%2 == 1 {
			return c.request(leaveRequest, room, n+1)
		}
		return c.request(`{"method":"subscribe","params":{"rooms":%s,"snapshot":true},"id":%d}`, room, n+1)
	})
}

func keepingSilent(_ *hostile, c *hostileConn) string { return c.drain() }

// sayingHello sends what begins a TLS handshake, and leaves the gateway waiting for
// the rest.
func sayingHello(h *hostile, c *hostileConn) string {
	if _, err := c.write(h.hello, 1); err != nil {
		return endOf(0, nil, err)
	}
	return c.drain()
}

// clientHello is the first record that crypto/tls sends to a host.
func clientHello(host string) ([]byte, error) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }() // ends the handshake too
	go func() {
		cfg := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}
		_ = tls.Client(here, cfg).Handshake() // it never ends well
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

// answerPatience is how long a hostile client waits for the answer to a request
// before it begins again: longer than a gateway lets it wait. A sink gives none.
const answerPatience = 20 * time.Second

// Requests, with places for a list of rooms and for an id.
const (
	joinRequest  = `{"method":"subscribe","params":{"rooms":%s,"snapshot":false},"id":%d}`
	leaveRequest = `{"method":"unsubscribe","params":{"rooms":%s},"id":%d}`
)

// pastRequest is a joinRequest that goes on from a place.
func pastRequest(since string) string {
	return `{"method":"subscribe","params":{"rooms":%s,"snapshot":false,"since":` + since + `},"id":%d}`
}

// beginning joins a room, leaves it, and returns the place before its first message,
// as `since` takes it; why is how the connection ended meanwhile, if it did.
func beginning(c *hostileConn, room string) (since, why string) {
	p, why := c.ask(1, joinRequest, list([]string{room}))
	if why != "" {
		return "", why
	}
	_, why = c.ask(2, leaveRequest, list([]string{room}))
	return fmt.Sprintf(`{%s:%s}`, quoted(room), firstPlace(p)), why
}

// firstPlace is the place before the first message of each partition that an answer
// to `subscribe` names, or of one where it names none.
func firstPlace(answer []byte) string {
	var m message
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
	b, err := json.Marshal(at)
	if err != nil {
		panic("BUG: positions that were JSON are none: " + err.Error())
	}
	return string(b)
}

// resuming asks for all there ever was, and again once that was answered.
func resuming(h *hostile, c *hostileConn) string {
	room := h.room(c.n)
	since, why := beginning(c, room)
	for id := 3; why == ""; id += 2 {
		_, why = c.ask(id, pastRequest(since), list([]string{room}))
		if why == "" {
			_, why = c.ask(id+1, leaveRequest, list([]string{room}))
		}
		if why == "" {
			why = c.rest(time.Duration(1e9 / h.job.Rate))
		}
	}
	return why
}

// stalling asks for all there ever was, and does not read it.
func stalling(h *hostile, c *hostileConn) string {
	room := h.room(c.n)
	since, why := beginning(c, room)
	if why != "" {
		return why
	}
	if err := c.request(pastRequest(since), list([]string{room}), 3); err != nil {
		return endOf(0, nil, err)
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

// junkRooms is how many made-up names a connection subscribes to, so many in a request.
const (
	junkRooms = 1000
	junkEach  = 250
)

func inventing(h *hostile, c *hostileConn) string {
	ended := c.listen()
	for n := 0; n < junkRooms; n += junkEach {
		if err := c.request(joinRequest, list(h.junkNames(c, n)), n+1); err != nil {
			return c.broken(ended, err)
		}
	}
	return <-ended
}

// junkNames are names that nobody has thought of before.
func (h *hostile) junkNames(c *hostileConn, from int) []string {
	var names []string
	for k := range junkEach {
		names = append(names, fmt.Sprintf("%sJUNK%d_%d_%d", h.job.Junk, c.n, c.round, from+k))
	}
	return names
}

// gone says how a connection ended that nobody reads from; "": it has not.
func (c *hostileConn) gone() string {
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return rootOf(err)
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
		return rootOf(err)
	case events&(unix.POLLERR|unix.POLLHUP) != 0:
		return "reset, or cut while nobody read"
	case events&unix.POLLRDHUP != 0:
		return "closed while nobody read"
	}
	return ""
}
