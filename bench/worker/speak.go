package worker

import (
	"strings"

	"tapecast/bench/job"
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
		return newObserver(l), nil
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
