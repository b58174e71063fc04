package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// message is a JSON-RPC message from the gateway, as far as a client cares.
type message struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Result subscribed `json:"result"`
	Params struct {
		Room      string          `json:"room"`
		Positions json.RawMessage `json:"positions"`
		Errors    []struct {
			Room  string `json:"room"`
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"errors"`
	} `json:"params"`
}

// subscribed is the result of a `subscribe`.
type subscribed struct {
	Rooms []struct {
		Room      string          `json:"room"`
		Error     json.RawMessage `json:"error"`
		Positions json.RawMessage `json:"positions"`
	} `json:"rooms"`
}

func (s *subscribed) refused() bool {
	for _, r := range s.Rooms {
		if len(r.Error) > 0 {
			return true
		}
	}
	return len(s.Rooms) == 0
}

// notice takes a JSON-RPC message.
func (l *loop) notice(i int, p []byte) error {
	c := &l.clients[i]
	method := methodOf(p)
	if method == "positions" { // a heartbeat; the most frequent by far
		l.notices[method]++
		return nil
	}
	var m message
	if err := json.Unmarshal(p, &m); err != nil {
		return fmt.Errorf("a message that is no JSON: %w: %.120q", err, p)
	}
	if l.pinger != nil && l.pinger.answeredBy(i, &m, l.clock.now()) {
		return nil
	}
	if m.Error != nil {
		l.notices["error"]++
		if c.state != stJoined {
			remedy := ""
			if m.Error.Code == authFailed {
				remedy = seeToken
			}
			return fmt.Errorf("refused: %s (%d)%s", m.Error.Message, m.Error.Code, remedy)
		}
		l.tell(fmt.Sprintf("client %d: error %d: %s", i, m.Error.Code, m.Error.Message))
		return nil
	}
	if m.Method == "" && c.state == stEntering && string(m.ID) == strconv.Itoa(entryID) {
		if m.Result.refused() {
			return fmt.Errorf("cannot join: %.200s", p)
		}
		l.isIn(i, c)
		return nil
	}
	if m.Method == "" && l.churn != nil {
		return l.churn.answered(l, i, &m, l.clock.now())
	}
	if m.Method == "" {
		return nil // the result of a request; the notice that follows says that it is done
	}
	l.notices[m.Method]++
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
				l.enterMore(i, c)
			case len(l.job.Filter) == 0 && !l.job.Observe:
				l.isIn(i, c)
			}
		}
	case "auth_required":
		if c.state == stGreeting || c.state == stEntering {
			return errors.New(wantsToken)
		}
	case "snapshot_begin", "snapshot_end":
		begins := m.Method == "snapshot_begin"
		l.reader.walked(i, m.Params.Room, begins)
		if !begins && l.storm != nil && l.storm.dropped && !l.storm.order.Resume {
			// What came until now may be among the last values, or spared for them.
			l.reader.returned(i, l.clock.now())
		}
	case "gap", "reset":
		if l.reader.chain != nil {
			l.reader.chain.forget(i, m.Params.Room)
		}
	}
	return nil
}

// authFailed is the error code of a token that is no good.
const authFailed = -32002

// What a gateway that lets nobody in is about.
const (
	seeToken   = "; see --secret, --secret-file, --ed25519-key and --token"
	wantsToken = "the gateway wants a token: give --secret, --secret-file, --ed25519-key or --token"
)

// isIn counts a client that has joined.
func (l *loop) isIn(i int, c *client) {
	c.state = stJoined
	l.dialing--
	l.joined++
	now := l.clock.now()
	if l.storm != nil && l.storm.dropped {
		l.storm.back(l, i, now)
		return
	}
	l.handshake.Record(now - c.dialed)
}

// methodOf finds the method of a notice without taking it apart.
func methodOf(p []byte) string {
	m, ok := member(p[:min(len(p), 80)], `"method":"`)
	if !ok {
		return ""
	}
	if bytes.Equal(m, []byte("positions")) {
		return "positions" // a constant: nothing is copied
	}
	return string(m)
}

// control takes a control frame (RFC 6455, 5.5).
func (l *loop) control(i int, op byte, p []byte) error {
	c := &l.clients[i]
	switch op {
	case opPing:
		l.write(i, c, appendFrame(nil, opPong, p, maskKey()))
	case opClose:
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
			l.write(i, c, appendFrame(nil, opClose, p[:min(len(p), 2)], maskKey()))
		}
		l.end(i, c, why)
	}
	return nil
}

// leave closes the connections of all clients by the closing handshake, a
// bounded number at a time, and returns when they are closed.
func (l *loop) leave(deadline int64) error {
	inFlight := l.job.InFlight
	if inFlight == 0 {
		inFlight = defaultInFlight
	}
	gone := l.gone // how many will be when all that were asked to have answered
	wait := func(most int) error {
		for gone-l.gone > most {
			l.turn(pollFor)
			if l.clock.now() > deadline {
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
		l.write(i, c, appendFrame(nil, opClose, []byte{1000 >> 8, 1000 & 255}, maskKey()))
		if err := wait(inFlight - 1); err != nil {
			return err
		}
	}
	return wait(0)
}
