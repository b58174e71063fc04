package worker

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"tapecast/bench/proto"
)

// natsSpeaker speaks NATS' text protocol, one stream of bytes. A frame may hold many
// messages, and a message may continue in the next frame.
// https://docs.nats.io/reference/reference-protocols/nats-protocol
type natsSpeaker struct {
	l     *loop
	tails map[int][]byte // by client: the start of a message that is not complete yet
}

func (s *natsSpeaker) opening(*client) opening { return opening{path: s.l.job.Path} }

// opened waits for INFO.
func (s *natsSpeaker) opened(_ int, c *client) { c.state = stGreeting }

// natsOp is one operation from the server: its line, and the payload of a message.
type natsOp struct {
	name    string // in upper case; "MSG", "INFO", "PING", "PONG", "+OK", "-ERR"
	args    []byte
	payload []byte
}

// maxNATSLine bounds an operation's line. INFO is the longest: it names all servers of a cluster.
const maxNATSLine = 32 << 10

// parseNATS parses the operation at the front of b, whose payload has at most limit
// bytes. used is 0 if more bytes are needed.
func parseNATS(b []byte, limit int) (op natsOp, used int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(b) > maxNATSLine {
			return op, 0, fmt.Errorf("no line end in %d bytes of NATS: %.60q", len(b), b)
		}
		return op, 0, nil
	}
	line := bytes.TrimSuffix(b[:end], []byte{'\r'})
	if hasPrefix(line, "MSG ") { // the usual case: nothing is copied
		op.name, op.args = "MSG", line[len("MSG "):]
		size, ok := natsSize(op.args)
		if !ok || size > limit {
			return op, 0, fmt.Errorf("a MSG without a valid length: %.120q", line)
		}
		if len(b) < end+1+size+len("\r\n") {
			return op, 0, nil
		}
		op.payload = b[end+1 : end+1+size]
		if used = end + 1 + size; b[used] != '\r' || b[used+1] != '\n' {
			return op, 0, fmt.Errorf("a MSG whose payload is not %d bytes long: %.120q", size, line)
		}
		return op, used + len("\r\n"), nil
	}
	name, args, _ := bytes.Cut(line, []byte{' '})
	op.args = args
	switch op.name = strings.ToUpper(string(name)); op.name {
	case "INFO", "PING", "PONG", "+OK", "-ERR":
		return op, end + 1, nil
	}
	return op, 0, fmt.Errorf("an unknown operation: %.60q", line)
}

// natsSize parses the last word of a MSG's line: subject, sid, perhaps reply-to, length.
func natsSize(args []byte) (int, bool) {
	at := bytes.LastIndexByte(args, ' ')
	n := 0
	for _, c := range args[at+1:] {
		if c < '0' || c > '9' || n > 1<<26 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, at > 0 && at+1 < len(args)
}

func (s *natsSpeaker) frame(i int, p []byte, now int64, first bool) error {
	tail := s.tails[i]
	if len(tail) > 0 {
		p = append(tail, p...)
	}
	r := s.l.reader
	for len(p) > 0 {
		op, used, err := parseNATS(p, r.limit)
		if err != nil {
			return err
		}
		if used == 0 {
			break
		}
		p = p[used:]
		switch {
		case op.name != "MSG":
			err = s.take(i, op)
		case !r.started:
			r.others++
		case len(op.payload) != r.shape.Size() || !r.isValue(op.payload, 0):
			err = r.torn(op.payload)
		default:
			err = r.value(i, op.payload, 0, now, first)
			first = false
		}
		if err != nil {
			return err
		}
	}
	if len(p) > 0 {
		s.tails[i] = append([]byte(nil), p...) // rare: the server frames whole messages
	} else if tail != nil {
		delete(s.tails, i)
	}
	return nil
}

// take takes an operation that is not a message.
func (s *natsSpeaker) take(i int, op natsOp) error {
	l := s.l
	c := &l.clients[i]
	switch op.name {
	case "INFO":
		if c.state == stGreeting {
			c.state = stEntering
			s.enter(i, c)
		}
	case "PING":
		l.notices["ping"]++
		s.say(i, c, "PONG\r\n")
	case "PONG":
		if c.state == stEntering {
			l.isIn(i, c)
		}
	case "-ERR":
		return fmt.Errorf("the server says %s", op.args)
	}
	return nil
}

// enter subscribes. The PONG to the PING behind it shows that the server has done all.
func (s *natsSpeaker) enter(i int, c *client) {
	var b strings.Builder
	b.WriteString(`CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"1","protocol":1`)
	if t := s.l.job.Keys.Token; t != "" {
		b.WriteString(`,"auth_token":` + proto.JSON(t))
	}
	b.WriteString("}\r\n")
	for k, room := range s.l.roomsOf(i) {
		b.WriteString("SUB " + room + " " + strconv.Itoa(k+1) + "\r\n")
	}
	b.WriteString("PING\r\n")
	s.say(i, c, b.String())
}

func (s *natsSpeaker) say(i int, c *client, text string) {
	s.l.write(i, c, proto.AppendFrame(nil, proto.OpBinary, []byte(text)))
}

// notice is never called: frame takes everything.
func (s *natsSpeaker) notice(_ int, p []byte) error { return s.l.reader.torn(p) }
