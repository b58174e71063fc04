package worker

import (
	"bytes"
	"encoding/json"
	"strconv"

	"tapecast/bench/proto"
)

// observer is a speaker for any traffic. It times messages by their ts, and follows prev
// in rooms where the gateway promises every message.
type observer struct {
	tapecastSpeaker
	chained map[string]bool // by room: its members are promised every message
}

func newObserver(l *loop) *observer {
	l.reader.chain = newChain()
	return &observer{tapecastSpeaker{l}, map[string]bool{}}
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
