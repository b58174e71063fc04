package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"tapecast/bench/proto"
)

func (l *loop) notice(i int, p []byte) error {
	c := &l.clients[i]
	method := proto.MethodOf(p)
	if method == "positions" { // a ping; by far the most frequent notice
		l.notices[method]++
		return nil
	}
	var m proto.Message
	if err := json.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("a message that is not JSON: %w: %.120q", err, p)
	}
	if l.pinger != nil && l.pinger.answeredBy(i, &m, l.clock.Now()) {
		return nil
	}
	if m.Error != nil {
		l.notices["error"]++
		if c.state != stJoined {
			remedy := ""
			if m.Error.Code == proto.AuthFailed {
				remedy = proto.SeeToken
			}
			return fmt.Errorf("refused: %s (%d)%s", m.Error.Message, m.Error.Code, remedy)
		}
		l.tell(fmt.Sprintf("client %d: error %d: %s", i, m.Error.Code, m.Error.Message))
		return nil
	}
	if m.Method == "" && c.state == stEntering && string(m.ID) == strconv.Itoa(proto.EntryID) {
		if m.Result.Refused() {
			return fmt.Errorf("cannot join: %.200s", p)
		}
		l.isIn(i, c)
		return nil
	}
	if m.Method == "" && l.churn != nil {
		return l.churn.answered(l, i, &m, l.clock.Now())
	}
	if m.Method == "" {
		return nil // the result of a request; the notice that follows confirms it
	}
	l.notices[m.Method]++
	return l.told(i, c, &m)
}

func (l *loop) told(i int, c *client, m *proto.Message) error {
	switch m.Method {
	case "authenticated":
		if c.state == stGreeting {
			l.enter(i, c)
		}
	case "auto_subscribed":
		if c.state == stEntering {
			if e := m.Params.Errors; len(e) > 0 && l.manual() {
				return fmt.Errorf("cannot join %q: %s", e[0].Room, e[0].Error.Message)
			}
			l.keep(i, m.Params.Positions)
			switch {
			case l.job.Auto && len(l.job.Rooms) > 0:
				l.ask(i, c, fmt.Sprintf(proto.JoinRequest, proto.List(l.roomsOf(i)), proto.EntryID))
			case len(l.job.Filter) == 0 && !l.job.Observe:
				l.isIn(i, c)
			}
		}
	case "auth_required":
		if c.state == stGreeting || c.state == stEntering {
			return errors.New(proto.WantsToken)
		}
	case "snapshot_begin", "snapshot_end":
		begins := m.Method == "snapshot_begin"
		l.reader.walked(i, m.Params.Room, begins)
		if !begins && l.storm != nil && l.storm.dropped && !l.storm.order.Resume {
			// What came until now may be among the last values, or was not sent because of them.
			l.reader.returned(i, l.clock.Now())
		}
	case "gap", "reset":
		if l.reader.chain != nil {
			l.reader.chain.forget(i, m.Params.Room)
		}
	}
	return nil
}

func (l *loop) isIn(i int, c *client) {
	c.state = stJoined
	l.dialing--
	l.joined++
	now := l.clock.Now()
	if l.storm != nil && l.storm.dropped {
		l.storm.back(l, i, now)
		return
	}
	l.handshake.Record(now - c.dialed)
}

// control takes a control frame (RFC 6455, 5.5).
func (l *loop) control(i int, op byte, p []byte) error {
	c := &l.clients[i]
	switch op {
	case proto.OpPing:
		l.write(i, c, proto.AppendFrame(nil, proto.OpPong, p))
	case proto.OpClose:
		why := "1005"
		if len(p) >= 2 {
			why = fmt.Sprint(int(p[0])<<8 | int(p[1]))
			if c.state != stClosing && len(p) > 2 {
				why += " " + string(p[2:])
			}
		} else if len(p) == 1 {
			return fmt.Errorf("a close frame with one byte")
		}
		if c.state != stClosing {
			l.write(i, c, proto.AppendFrame(nil, proto.OpClose, p[:min(len(p), 2)]))
		}
		l.end(i, c, why)
	}
	return nil
}

// leave closes the connections of all clients with the closing handshake, a bounded
// number at a time. It returns when all are closed.
func (l *loop) leave(deadline int64) error {
	gone := l.gone // how many will be gone when all that were asked have answered
	wait := func(most int) error {
		for gone-l.gone > most {
			l.turn(pollFor)
			if l.clock.Now() > deadline {
				return fmt.Errorf("%d closing handshakes were not answered in time", gone-l.gone)
			}
		}
		return nil
	}
	for i := range l.clients {
		c := &l.clients[i]
		if c.state != stJoined {
			continue
		}
		c.state = stClosing
		l.joined--
		gone++
		l.write(i, c, proto.AppendFrame(nil, proto.OpClose, proto.Normal))
		if err := wait(l.job.InFlight - 1); err != nil {
			return err
		}
	}
	return wait(0)
}

// keep remembers the positions that client i was given when it joined.
func (l *loop) keep(i int, positions json.RawMessage) {
	if !l.job.Resume {
		return
	}
	if l.positions == nil {
		l.positions = make([]json.RawMessage, len(l.clients))
	}
	l.positions[i] = positions
}

// since returns the member of a request with which client i resumes. It holds the
// positions that the client was given, raised to the last that it saw of each partition.
// It is empty if the client does not resume or was never in.
func (l *loop) since(i int) string {
	if l.positions == nil || l.positions[i] == nil {
		return ""
	}
	var at map[string]map[string]json.RawMessage
	if json.Unmarshal(l.positions[i], &at) != nil {
		return "" // unknown positions: it joins without, and what it lacks is counted
	}
	for room, offsets := range at {
		for name := range offsets {
			partition, err := strconv.ParseInt(name, 10, 32)
			if err != nil || l.reader.chain == nil { // the epoch
				continue
			}
			given, err := strconv.ParseInt(string(offsets[name]), 10, 64)
			if offset, ok := l.reader.chain.offset(i, room, partition); ok && err == nil && offset > given {
				offsets[name] = json.RawMessage(strconv.FormatInt(offset, 10))
			}
		}
	}
	return `,"since":` + proto.JSON(at)
}
