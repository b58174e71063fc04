package worker

import (
	"bytes"
	"strings"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

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
