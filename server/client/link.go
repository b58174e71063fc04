package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

const (
	connectWithin = 30 * time.Second // token, socket and authentication together
	turnOfSilence = 20 * time.Second // something comes every 25 s: after two whole turns the gateway is asked
	answerWithin  = 10 * time.Second
	probing       = 9    // stands for silence that was asked about already
	queued        = 1000 // requests that wait for the connection, and those that wait for their answers
	goodAfter     = 10 * time.Second
	shortInTurn   = 3 // after so many short connections in turn the waits grow, whatever their end
	closingWithin = 2 * time.Second
)

// done takes the answer to a request, or why there is none. It is called once.
type done func(result json.RawMessage, err *Error)

// call is a request of the application's own.
type call struct {
	method string
	params any
	fault  *Error // JSON cannot say it
	done   done
}

// link is one connection after the other. Tape.mu protects it.
type link struct {
	state    State
	why      Ending
	max      int             // bytes of a request
	out      chan<- []byte   // to the connection; nil: there is none
	turn     int             // counts connections: what belongs to an earlier one is ignored
	ctx      context.Context // of this turn: done when the connection must end
	end      func()          // makes it so
	token    string          // that this connection was opened with
	tries    int             // since the last good connection
	timer    *timer          // the one of connecting, waiting or silence
	due      time.Time       // of that
	plain    bool            // the wait has no other reason than a lost connection
	opened   time.Time       // zero: not let in
	short    int             // connections in turn that were lost soon after they were let in
	silent   int             // turns in which nothing came
	within   time.Duration   // how long an answer to a ping, and each part of what comes before it, may take
	after    time.Duration   // the least wait, as the gateway asked for it
	renewing bool
	odd      bool // a frame of this connection was none of the protocol's
	id       uint64
	calls    map[uint64]done
	queue    []*call
}

// ask sends a request of the application's own, or keeps it until the connection is open.
func (t *Tape) ask(method string, params any, done done) *call {
	c := &call{method: method, done: done}
	if params != nil {
		b, err := json.Marshal(params) // before mu is locked: it may call the application
		if c.params = json.RawMessage(b); err != nil {
			c.fault = failure(0, "cannot send %s: %v", method, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.link
	switch {
	case l.state == Closed:
		done(nil, failure(1006, "the client is closed"))
	case len(l.queue)+len(l.calls) >= queued:
		done(nil, failure(1006, "too many requests wait for the connection or their answers"))
	case l.state == Open:
		t.send(c)
	default:
		l.queue = append(l.queue, c)
	}
	return c
}

func (t *Tape) send(c *call) {
	if c.fault != nil {
		c.done(nil, c.fault)
		return
	}
	t.request(c.method, c.params, c.done)
}

// request sends a request on this connection.
func (t *Tape) request(method string, params any, done done) {
	l := &t.link
	l.id++
	text, err := json.Marshal(request{l.id, method, params})
	switch {
	case err != nil:
		done(nil, failure(0, "cannot send %s: %v", method, err))
	case l.out == nil:
		done(nil, failure(1006, "there is no connection"))
	case len(text) > l.max: // the gateway closes for good after such a message
		done(nil, failure(1009, "cannot send %s: it is longer than %d bytes", method, l.max))
	default:
		select {
		case l.out <- text:
			l.calls[l.id] = done
		default: // calls are fewer than the channel holds: the gateway reads nothing
			done(nil, failure(1006, "too many requests wait for the connection"))
		}
	}
}

func (t *Tape) set(state State, why Ending) {
	t.link.state, t.link.why = state, why
	t.events = append(t.events, event{onState, nil, "", status{state, why}})
}

// in sets the one timer of connecting, waiting and silence.
func (t *Tape) in(d time.Duration, f func()) {
	t.timers.stop(t.link.timer)
	t.link.due = t.options.now().Add(d)
	t.link.timer = t.timers.add(t.link.due, f)
}

// later calls f after d. turn: unless that turn is over by then; 0: on any connection.
func (t *Tape) later(d time.Duration, turn int, f func()) {
	t.timers.add(t.options.now().Add(d), func() {
		if turn == 0 || turn == t.link.turn {
			f()
		}
	})
}

// again calls f on this connection, after a wait that the gateway asked for.
func (t *Tape) again(wait time.Duration, f func()) {
	t.later(t.part(wait, 1, 1), t.link.turn, f)
}

// part returns d times least plus a random part of d times more.
func (t *Tape) part(d time.Duration, least, more float64) time.Duration {
	return time.Duration(float64(d) * (least + more*t.options.random()))
}

func (t *Tape) dial() {
	l := &t.link
	l.turn++
	l.ctx, l.end = context.WithCancel(t.ctx)
	t.in(connectWithin, func() { t.lost(1006, "no connection in time") })
	t.set(Connecting, Ending{})
	turn, ctx := l.turn, l.ctx
	t.running++
	t.others.Go(func() { t.connect(ctx, turn) })
}

// hear takes a frame, or the fault of one that cannot be read.
func (t *Tape) hear(m *frame, err error) {
	l := &t.link
	if l.silent < probing {
		l.silent = 0
	} else { // it may have come before the sleep: only the answer is one, which may be behind much
		t.await()
	}
	if err == nil {
		err = t.take(m)
	}
	if err != nil && !l.odd { // to come again would bring another one
		l.odd = true
		t.fail(failure(0, "cannot read a frame, as of rooms with bare ones: %v", err), "")
	}
}

func (t *Tape) take(m *frame) error {
	l := &t.link
	if m.Room != nil {
		return t.message(m)
	}
	if m.JSONRPC != "2.0" {
		return errors.New("it is no message of the protocol")
	}
	if m.Method != "" {
		switch m.Method {
		case "auth_required":
			t.authenticate()
		case "auth_expiring":
			t.renew()
		case "auto_subscribed":
			t.ready()
		}
		t.events = append(t.events, event{onNotice, nil, m.Method, m.Params})
		return t.notice(m.Method, m.Params)
	}
	done := l.calls[m.ID.n]
	delete(l.calls, m.ID.n)
	after := m.Error.retryAfter()
	switch {
	case done != nil:
		done(m.Result, m.Error)
	case after > 0: // of a request that is not known: one of ours has no answer
		l.after = after
		t.lost(1013, m.Error.Message)
	case m.Error != nil: // mostly a close comes behind it, whose code says what to do
		t.later(closingWithin, l.turn, func() { t.lost(1013, m.Error.Message) })
	}
	return nil
}

func (t *Tape) authenticate() {
	params := authenticateParams{Join: []string{}, Anonymous: t.options.token == nil}
	if !params.Anonymous {
		params.Token = &t.link.token
	}
	t.request("authenticate", params, func(result json.RawMessage, err *Error) {
		var r identity
		if json.Unmarshal(result, &r) == nil && r.MaxMessage > 0 {
			t.link.max = r.MaxMessage
		}
		if err == nil || err.Code == 1006 {
			return
		}
		t.link.after = err.retryAfter() // the gateway closes the connection
		t.fail(err, "")
	})
}

func (t *Tape) renew() {
	l := &t.link
	if l.renewing || t.options.token == nil {
		return
	}
	l.renewing = true
	t.running++
	turn, ctx := l.turn, l.ctx
	t.others.Go(func() {
		token, err := t.options.token(ctx)
		t.post(t.ctx, func() {
			t.running--
			if turn != l.turn {
				return
			}
			l.renewing = false
			if err == nil { // otherwise the next notice, or 4201, asks again
				t.renewed(token)
			}
		})
	})
}

func (t *Tape) renewed(token string) {
	turn := t.link.turn
	t.request("authenticate", authenticateParams{Token: &token}, func(_ json.RawMessage, err *Error) {
		if err == nil || turn != t.link.turn {
			return
		}
		if wait := err.wait(); wait > 0 {
			t.again(wait, t.renew)
		} else {
			t.fail(err, "")
		}
	})
}

func (t *Tape) ready() {
	l := &t.link
	l.opened, l.silent = t.options.now(), 0
	t.watch()
	t.set(Open, Ending{})
	t.plan()
	queue := l.queue
	l.queue = nil
	for _, c := range queue {
		t.send(c)
	}
}
