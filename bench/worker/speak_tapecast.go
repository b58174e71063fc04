package worker

import "strings"

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
