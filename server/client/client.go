package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Tape is a client. Its methods may be called by any goroutine, also by handlers if not said otherwise.
type Tape struct {
	options options
	given   context.Context // to Connect; done: the goodbye is cut short
	ctx     context.Context // done: the client ends
	cancel  context.CancelFunc
	ended   chan struct{} // closed when run has ended
	done    chan struct{} // closed when no goroutine of the client is left
	others  sync.WaitGroup
	saves   sync.WaitGroup // of saveAll, for which run waits: its errors are told
	inbox   chan func()    // steps for run, which it takes with mu locked
	kick    chan struct{}

	mu       sync.Mutex // held for all below, and never while a handler runs
	handlers emitter
	events   []event // to be told once mu is free
	timers   timers
	running  int // functions of the application that run, besides handlers
	link     link
	joins    joins
}

// Connect makes a client of the gateway at this URL, such as "wss://push.example.com/ws", and returns
// at once. The client keeps connected until Close, a final refusal, or until ctx is done.
func Connect(ctx context.Context, address string, opts ...Option) (*Tape, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("cannot connect to %q: write it as ws://host/ws or wss://host/ws", address)
	}
	t := &Tape{
		options: newOptions(address, opts), given: ctx, ended: make(chan struct{}), done: make(chan struct{}),
		inbox: make(chan func(), 16), kick: make(chan struct{}, 1),
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.link.state, t.link.max = Idle, 65536
	t.link.calls = map[uint64]done{}
	t.handlers.add(t.options.handlers...)
	if err := t.joins.store.read(t.options.storage); err != nil {
		t.fail(failure(0, "cannot read stored positions: %v", err), "")
	}
	go t.run()
	return t, nil
}

// State returns the state of the connection, and why the last one ended.
func (t *Tape) State() (State, Ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.link.state, t.link.why
}

// Done is closed when the client has ended, and has no goroutine any more.
func (t *Tape) Done() <-chan struct{} { return t.done }

// Close ends the client and waits until its goroutines have ended. A handler must not call it, and
// may cancel the context of Connect instead.
func (t *Tape) Close() {
	t.cancel()
	<-t.done
}

// On adds a handler for the events of all rooms and of the connection. off removes it.
func (t *Tape) On(h Handler) (off func()) { return t.on(&t.handlers, h) }

func (t *Tape) on(e *emitter, h Handler) (off func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	added := e.add(h)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		e.remove(added[0])
	}
}

// Call sends a request of the application's own, such as "ping", once the connection is open, and
// returns the result. The error is an *Error or that of ctx. A handler must not call it.
func (t *Tape) Call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	type answer struct {
		result json.RawMessage
		err    *Error
	}
	got := make(chan answer, 1)
	c := t.ask(method, params, func(result json.RawMessage, err *Error) { got <- answer{result, err} })
	var a answer
	select {
	case a = <-got:
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		t.link.queue = slices.DeleteFunc(t.link.queue, func(q *call) bool { return q == c })
		select {
		case a = <-got: // it came at the same time
		default:
			return nil, ctx.Err()
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return a.result, nil
}

// Wake says that the machine or the application was asleep: the connection must answer soon.
func (t *Tape) Wake() { t.awake(false) }

// Online says that the network is back: a wait for it ends, and a connection must answer soon.
func (t *Tape) Online() { t.awake(true) }

func (t *Tape) awake(online bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wake(online)
	t.kicked()
}

// run is the client's goroutine. All steps and handlers run on it.
func (t *Tape) run() {
	defer close(t.done)
	defer t.others.Wait()
	defer close(t.ended)
	defer t.cancel()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	t.step(t.dial)
	for due := (time.Time{}); ; {
		if t.ctx.Err() != nil { // what a handler cancels ends before the next message
			t.step(func() { t.stop(1000, "") })
		}
		next, over := t.next()
		if over {
			t.cancel()
			t.saves.Wait()
			t.step(func() {})
			return
		}
		if !next.Equal(due) {
			due = next
			alarm.Stop()
			if !due.IsZero() {
				alarm.Reset(due.Sub(t.options.now()))
			}
		}
		select {
		case <-t.ctx.Done():
			t.step(func() { t.stop(1000, "") })
		case f := <-t.inbox:
			t.step(f)
		case <-t.kick:
			t.step(func() {})
		case <-alarm.C:
			due = time.Time{}
			t.step(t.fire)
		}
	}
}

// next returns when the next timer is due, if there is one that runs by itself, and whether the client
// has ended.
func (t *Tape) next() (due time.Time, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.timers.list) > 0 && !t.options.manual {
		due = t.timers.list[0].due
	}
	return due, t.link.state == Closed
}

// fire runs one timer that is due.
func (t *Tape) fire() {
	if one := t.timers.next(t.options.now()); one != nil {
		one.f()
	}
}

// step does one thing, tells what came of it, and then joins and leaves what the application has named.
func (t *Tape) step(f func()) {
	for f != nil {
		t.mu.Lock()
		f()
		events := t.events
		t.events = nil
		t.mu.Unlock()
		for _, e := range events {
			t.dispatch(e)
		}
		t.mu.Lock()
		f = nil
		if t.joins.planned && t.link.state == Open {
			f = t.join
		}
		t.joins.planned = false
		if len(t.events) > 0 && f == nil {
			f = func() {}
		}
		t.mu.Unlock()
	}
}

// post gives run a step, unless ctx is done before it takes it.
func (t *Tape) post(ctx context.Context, f func()) {
	select {
	case t.inbox <- f:
	case <-ctx.Done():
	}
}

// kicked makes run look again: somebody else has changed something.
func (t *Tape) kicked() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// emitter keeps handlers. Slices that were given out do not change.
type emitter map[kind][]*Handler

func (e *emitter) add(handlers ...Handler) []*Handler {
	if *e == nil {
		*e = emitter{}
	}
	var added []*Handler
	for _, h := range handlers {
		(*e)[h.kind] = append(slices.Clip((*e)[h.kind]), &h)
		added = append(added, &h)
	}
	return added
}

func (e *emitter) remove(h *Handler) {
	(*e)[h.kind] = slices.DeleteFunc(slices.Clone((*e)[h.kind]), func(o *Handler) bool { return o == h })
}

// tell has the room, its wildcard and the tape told.
func (t *Tape) tell(k kind, m *Room, what any) {
	t.events = append(t.events, event{k, m, m.name, what})
}

// fail tells an error of the connection, or of a room by its name.
func (t *Tape) fail(e *Error, room string) {
	t.events = append(t.events, event{onError, nil, room, e})
}

// dispatch calls the handlers of an event, with mu free.
func (t *Tape) dispatch(e event) {
	if e.kind == onCall {
		e.what.(func())()
		return
	}
	var lists [3][]*Handler
	t.mu.Lock()
	if m := e.of; m != nil {
		if m.over && e.kind != onError { // it was left meanwhile
			t.mu.Unlock()
			return
		}
		lists[0] = m.handlers[e.kind]
		if m.under != nil {
			lists[1] = m.under.handlers[e.kind]
		}
	}
	lists[2] = t.handlers[e.kind]
	t.mu.Unlock()
	taken := false
	for _, list := range lists {
		for _, h := range list {
			h.take(e)
			taken = true
		}
	}
	if err, ok := e.what.(*Error); ok && !taken && e.kind == onError {
		t.options.log.Error("tapecast", "room", e.name, "code", err.Code, "error", err.Message)
	}
}
