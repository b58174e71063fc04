package worker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// speaker is one protocol on top of WebSocket, for all clients of one loop, which owns it.
type speaker interface {
	// opening returns how client c asks for the upgrade.
	opening(c *client) opening
	// opened goes on after the upgrade: it sends what the protocol sends first, and sets
	// the client's state. When a client is in, it calls loop.isIn.
	opened(i int, c *client)
	// notice takes a message without a value at the expected offset.
	notice(i int, p []byte) error
}

// framer is a speaker whose data frames are not one message each with its value at the
// end. The reader handles that usual form by itself.
type framer interface {
	// frame takes the payload of a data frame, and hands its values to the reader. first
	// marks the first frame of a read.
	frame(i int, p []byte, now int64, first bool) error
}

type opening struct {
	path        string
	subprotocol string // "": none is offered
	token       string // for the header; "": none
	later       string // a token that the client keeps, and sends after the upgrade
}

func newSpeaker(l *loop) (speaker, error) {
	if err := l.job.Speech.Check(); err != nil {
		return nil, err
	}
	switch l.job.Protocol {
	case job.Centrifuge:
		return &centrifugeSpeaker{l: l}, nil
	case job.NATS:
		return &natsSpeaker{l: l, tails: map[int][]byte{}}, nil
	case job.Plain:
		return &plainSpeaker{l: l}, nil
	}
	if l.job.Observe {
		l.reader.chain = newChain()
		return &observer{tapecastSpeaker{l}, map[string]bool{}}, nil
	}
	return &tapecastSpeaker{l: l}, nil
}

// tapecastSpeaker speaks tapecast.v1: JSON-RPC requests and notices (dial.go,
// notice.go), and messages that end with their value. The reader finds those by itself.
type tapecastSpeaker struct{ l *loop }

func (s *tapecastSpeaker) opening(c *client) opening {
	path := s.l.job.Path
	if s.l.manual() {
		path += map[bool]string{false: "?", true: "&"}[strings.Contains(path, "?")] + "join=manual"
	}
	return opening{path: path, subprotocol: "tapecast.v1", token: c.token}
}

// opened waits: the gateway speaks first.
func (s *tapecastSpeaker) opened(_ int, c *client) {
	c.state = stEntering
	if s.l.manual() {
		c.state = stGreeting
	}
}

func (s *tapecastSpeaker) notice(i int, p []byte) error { return s.l.notice(i, p) }

// plainSpeaker speaks with a server without a protocol of its own, as Speech says.
type plainSpeaker struct{ l *loop }

func (s *plainSpeaker) opening(c *client) opening {
	return opening{path: s.l.job.Path, token: c.token}
}

func (s *plainSpeaker) opened(i int, c *client) {
	l := s.l
	c.state = stEntering
	user := job.UserName(l.job.First + i)
	var b []byte
	for _, text := range l.job.Say {
		text = strings.ReplaceAll(text, "{user}", user)
		if !strings.Contains(text, "{room}") {
			b = proto.AppendFrame(b, proto.OpText, []byte(text))
			continue
		}
		for _, room := range l.roomsOf(i) {
			b = proto.AppendFrame(b, proto.OpText, []byte(strings.ReplaceAll(text, "{room}", room)))
		}
	}
	if len(b) > 0 {
		l.write(i, c, b)
	}
	if c.state == stEntering && l.job.Until == "" {
		l.isIn(i, c)
	}
}

func (s *plainSpeaker) frame(i int, p []byte, now int64, first bool) error {
	r := s.l.reader
	if !r.started {
		return s.notice(i, p)
	}
	at := findValue(p, s.l.job.After)
	if !r.isValue(p, at) {
		return s.notice(i, p)
	}
	return r.value(i, p, at, now, first)
}

// findValue returns where a value begins in p: behind the first occurrence of after, or
// at the first bytes that look like a value. -1: there is none.
func findValue(p []byte, after string) int {
	if after == "" {
		return bytes.Index(p, valueMark)
	}
	at := bytes.Index(p, []byte(after))
	if at < 0 {
		return -1
	}
	return at + len(after)
}

var valueMark = []byte(`{"t":`)

// notice takes a message without a value: a greeting, or an answer.
func (s *plainSpeaker) notice(i int, p []byte) error {
	l := s.l
	c := &l.clients[i]
	l.reader.others++
	if c.state == stEntering && bytes.Contains(p, []byte(l.job.Until)) {
		l.isIn(i, c)
	}
	return nil
}

// search takes a data frame whose record has its value anywhere in it.
func (r *reader) search(i int, p []byte, now int64, first bool) error {
	from := 0
	if !r.bare {
		from = max(0, r.opens(p, len(p)))
	}
	for r.started && from < len(p) {
		k := bytes.Index(p[from:], valueMark)
		if k < 0 {
			break
		}
		if at := from + k; r.isValue(p, at) && job.ParseTime(p[at:]) > 0 && job.ParseNumber(p[at:]) >= 0 {
			return r.value(i, p, at, now, first)
		}
		from += k + len(valueMark)
	}
	return r.otherFrame(i, p)
}

// observer is a speaker for any traffic. It times messages by their ts, and follows prev
// in rooms where the gateway promises every message.
type observer struct {
	tapecastSpeaker
	chained map[string]bool // by room: its members are promised every message
}

// notice takes what is not a room's message. The answer to joining names the rooms with a chain.
func (o *observer) notice(i int, p []byte) error {
	if bytes.Contains(p, []byte(`"chain":`)) {
		var m struct {
			Result struct {
				Rooms []proto.Room `json:"rooms"`
			} `json:"result"`
		}
		if json.Unmarshal(p, &m) == nil {
			o.learn(m.Result.Rooms)
		}
	}
	return o.l.notice(i, p)
}

func (o *observer) learn(rooms []proto.Room) {
	for _, r := range rooms {
		if r.Chain != nil && *r.Chain {
			o.chained[r.Room] = true
		}
		o.learn(r.Rooms)
	}
}

func (o *observer) frame(i int, p []byte, now int64, _ bool) error {
	r := o.l.reader
	switch {
	case hasPrefix(p, `{"jsonrpc":`):
		return o.notice(i, p)
	case !r.started:
		r.others++
		return nil
	case !hasPrefix(p, `{"room":`): // a bare room's message has no time
		r.frames++
		return nil
	}
	env, _, ok := bytes.Cut(p, dataMember)
	if !ok || p[len(p)-1] != '}' {
		return r.torn(p)
	}
	r.frames++
	if room, ok := proto.Member(env, `{"room":"`); ok && o.chained[string(room)] && bytes.Contains(env, posMember) {
		if err := r.chain.follow(i, env); err != nil {
			return err
		}
	}
	ts, ok := timeOf(env)
	if !ok || now+r.timing.Anchor < r.timing.From {
		return nil // the notice of an expired key, which is not a record; or a message of the warmup
	}
	late := now + r.timing.Anchor - ts*1e6
	if late < 0 {
		r.early++
		late = 0
	}
	r.latency.Record(late)
	return nil
}

var (
	posMember = []byte(`,"pos":"`)
	tsMember  = []byte(`,"ts":`)
)

// timeOf returns the ts of an envelope, in ms since 1970.
func timeOf(env []byte) (int64, bool) {
	at := bytes.LastIndex(env, tsMember)
	if at < 0 {
		return 0, false
	}
	digits := env[at+len(tsMember):]
	if end := bytes.IndexByte(digits, ','); end >= 0 {
		digits = digits[:end]
	}
	ts, err := strconv.ParseInt(string(digits), 10, 64)
	return ts, err == nil
}
