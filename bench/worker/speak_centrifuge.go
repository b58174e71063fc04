package worker

import (
	"bytes"
	"encoding/json"
	"fmt"

	"tapecast/bench/proto"
)

// centrifugeSpeaker speaks Centrifugo's client protocol in JSON: connect, then a
// subscribe for each room. Replies and pushes may share a frame, one line each. A server's
// ping is an empty object, and so is the answer.
// https://centrifugal.dev/docs/transports/client_protocol
type centrifugeSpeaker struct {
	l    *loop
	pong bool // the answers to connect ask for pongs
}

// centrifugeReply is one line from the server, with the members that a client needs.
type centrifugeReply struct {
	ID    int `json:"id"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Connect *struct {
		Pong bool `json:"pong"`
	} `json:"connect"`
	Subscribe *struct{} `json:"subscribe"`
	Push      *struct {
		Channel     string `json:"channel"`
		Unsubscribe *struct {
			Code   int    `json:"code"`
			Reason string `json:"reason"`
		} `json:"unsubscribe"`
	} `json:"push"`
}

// centrifugeConnect is the number of the connect. The subscribe to room k, counted from 1,
// has that number plus k, and is sent when the one before is answered.
const centrifugeConnect = 1

func (s *centrifugeSpeaker) opening(c *client) opening {
	return opening{path: s.l.job.Path, subprotocol: "centrifuge-json", later: c.token}
}

func (s *centrifugeSpeaker) opened(i int, c *client) {
	token := ""
	if c.token != "" {
		token = `"token":` + proto.JSON(c.token)
		c.token = ""
	}
	c.state = stGreeting
	s.l.ask(i, c, fmt.Sprintf(`{"id":%d,"connect":{%s}}`, centrifugeConnect, token))
}

// frame takes the lines of a frame. A push whose publication holds only data ends with the
// value and three braces. Other pushes have members behind the value.
func (s *centrifugeSpeaker) frame(i int, p []byte, now int64, first bool) error {
	for line := range bytes.SplitSeq(p, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		at, err := s.find(line)
		if err == nil {
			if at >= 0 {
				err = s.l.reader.value(i, line, at, now, first)
				first = false
			} else {
				err = s.notice(i, line)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var dataMember = []byte(`"data":`)

// find returns where the value of a publication begins, or -1 if the line is not one.
func (s *centrifugeSpeaker) find(line []byte) (int, error) {
	r := s.l.reader
	if !r.started || !hasPrefix(line, `{"push":{`) {
		return -1, nil
	}
	const braces = len(`}}}`)
	if at := len(line) - braces - r.shape.Size(); r.isValue(line, at) && hasPrefix(line[len(line)-braces:], `}}}`) {
		return at, nil
	}
	// A quote within a string is escaped, so this is a member, not part of a name.
	k := bytes.Index(line, dataMember)
	if k < 0 {
		return -1, nil // another kind of push
	}
	if !r.isValue(line, k+len(dataMember)) {
		return 0, r.torn(line)
	}
	return k + len(dataMember), nil
}

func (s *centrifugeSpeaker) notice(i int, p []byte) error {
	l := s.l
	c := &l.clients[i]
	if len(p) == 2 && p[0] == '{' && p[1] == '}' {
		l.notices["ping"]++
		if s.pong {
			s.l.ask(i, c, "{}")
		}
		return nil
	}
	var m centrifugeReply
	if err := json.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("a message that is not JSON: %w: %.120q", err, p)
	}
	switch {
	case m.Error != nil && c.state != stJoined:
		return fmt.Errorf("refused: %s (%d)", m.Error.Message, m.Error.Code)
	case m.Error != nil:
		l.notices["error"]++
		l.tell(fmt.Sprintf("client %d: error %d: %s", i, m.Error.Code, m.Error.Message))
	case m.Connect != nil && c.state == stGreeting:
		s.pong = m.Connect.Pong
		c.state = stEntering
		s.subscribe(i, c, 0)
	case m.Subscribe != nil && c.state == stEntering:
		s.subscribe(i, c, m.ID-centrifugeConnect)
	case m.Push != nil && m.Push.Unsubscribe != nil:
		l.notices["unsubscribe"]++
		return fmt.Errorf("unsubscribed from %q: %s (%d)", m.Push.Channel, m.Push.Unsubscribe.Reason,
			m.Push.Unsubscribe.Code)
	case m.Push != nil:
		l.reader.others++
	}
	return nil
}

// subscribe asks for room k, or ends the greeting after the last room.
func (s *centrifugeSpeaker) subscribe(i int, c *client, k int) {
	rooms := s.l.roomsOf(i)
	if k < 0 || k >= len(rooms) {
		s.l.isIn(i, c)
		return
	}
	s.l.ask(i, c, fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%s}}`, centrifugeConnect+1+k, proto.JSON(rooms[k])))
}
