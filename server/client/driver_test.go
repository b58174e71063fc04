package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

func (d *driver) with(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *driver) see(what any) { d.with(func() { d.saw = append(d.saw, what) }) }

func (d *driver) connect() (err error) {
	d.rooms = map[string]*Room{}
	opts := []Option{option(func(o *options) {
		o.manual = true
		o.now = func() (now time.Time) {
			d.with(func() { now = d.now })
			return now
		}
		o.random = func() (x float64) {
			d.with(func() { x = d.luck })
			return x
		}
		o.dials = func() func() {
			ended := make(chan struct{})
			d.with(func() { d.sockets = append(d.sockets, ended) })
			return func() { close(ended) }
		}
	})}
	if d.options["anonymous"] != true {
		opts = append(opts, WithToken(d.getToken))
	}
	if d.options["storage"] == true {
		opts = append(opts, WithStorage(&d.stored))
	}
	opts = append(opts,
		OnMessage(func(m Message) { d.see(map[string]any{"message": m}) }),
		OnGap(func(g Gap) {
			d.see(map[string]any{"gap": map[string]any{"room": g.Room, "from": g.From, "to": g.To, "cause": g.Cause}})
		}),
		OnReset(func(r Reset) { d.see(map[string]any{"reset": map[string]any{"room": r.Room, "epoch": r.Epoch}}) }),
		OnLoad(func(state any) { d.see(map[string]any{"load": state}) }),
		OnError(func(e *Error, room string) {
			d.see(map[string]any{"error": map[string]any{"code": e.Code, "room": room}})
		}),
	)
	d.tape, err = Connect(context.Background(), d.options["url"].(string), opts...)
	return err
}

func (d *driver) getToken(ctx context.Context) (string, error) {
	var token any
	d.with(func() {
		if token = d.token; token == "never" {
			d.blocked++
		}
	})
	if token == nil {
		return "", errors.New("there is none")
	}
	if token == "never" {
		<-ctx.Done()
		d.with(func() { d.blocked-- })
		return "", ctx.Err()
	}
	return token.(string), nil
}

// like runs f as a handler would run, so that the client acts on all of it at once.
func (d *driver) like(f func()) {
	done := make(chan struct{})
	t := d.tape
	t.post(t.ctx, func() {
		t.events = append(t.events, event{kind: onCall, what: func() {
			f()
			close(done)
		}})
	})
	select {
	case <-done:
	case <-t.ended:
		f()
	}
}

func (d *driver) room(o map[string]any) {
	var opts []RoomOption
	if keys, ok := o["keys"].([]any); ok {
		var names []string
		for _, key := range keys {
			names = append(names, key.(string))
		}
		opts = append(opts, Keys(names...))
	}
	if rate, ok := o["maxRate"].(float64); ok {
		opts = append(opts, MaxRate(rate))
	}
	if snapshot, ok := o["snapshot"].(bool); ok {
		opts = append(opts, Snapshot(snapshot))
	}
	if loads, ok := o["load"].([]any); ok {
		d.with(func() { d.loads = loads })
		opts = append(opts, Load(func(ctx context.Context) (any, From, error) {
			return d.load(ctx, o["slow"] == true)
		}))
	}
	name := o["name"].(string)
	d.rooms[name] = d.tape.Room(name, opts...)
}

func (d *driver) load(ctx context.Context, slow bool) (any, From, error) {
	if slow {
		loaded := make(chan struct{})
		d.with(func() { d.slow, d.blocked = loaded, d.blocked+1 })
		select {
		case <-loaded:
		case <-ctx.Done():
		}
		d.with(func() { d.blocked-- })
	}
	var one map[string]any
	d.with(func() {
		if len(d.loads) > 0 {
			one = d.loads[0].(map[string]any)
		}
		if len(d.loads) > 1 {
			d.loads = d.loads[1:]
		}
	})
	if one == nil {
		return nil, nil, errors.New("the database is away")
	}
	from, err := fromOf(one["positions"])
	return one["state"], from, err
}

// fromOf reads positions of either kind.
func fromOf(v any) (From, error) {
	b, err := json.Marshal(v)
	if err != nil || v == nil {
		return nil, err
	}
	if _, ok := v.(map[string]any)["next"]; ok {
		var next NextPositions
		err = json.Unmarshal(b, &next)
		return next, err
	}
	var at Positions
	err = json.Unmarshal(b, &at)
	return at, err
}

func (d *driver) find(name any) *Room {
	for _, r := range d.rooms {
		if r.Name() == name {
			return r
		}
	}
	for _, r := range d.rooms {
		for _, sub := range r.Rooms() {
			if sub.Name() == name {
				return sub
			}
		}
	}
	panic(fmt.Sprintf("there is no room %v", name))
}

func (d *driver) call(o map[string]any) {
	method, params := o["method"].(string), o["params"]
	switch made := o["made"].(type) {
	case string:
		params = make(chan int)
	case float64:
		params = strings.Repeat("x", int(made))
	}
	d.tape.ask(method, params, func(result json.RawMessage, err *Error) {
		what := map[string]any{"method": method, "result": result}
		if err != nil {
			what = map[string]any{"method": method, "code": err.Code}
		}
		d.see(map[string]any{"call": what})
	})
}

func (d *driver) event(name any) {
	if name == "online" {
		d.tape.Online()
	} else {
		d.tape.Wake()
	}
}

// time has timers run, one after the other.
func (d *driver) time(ms float64) error {
	var end time.Time
	d.with(func() { end = d.now.Add(millis(ms)) })
	for more := true; more; {
		ran := make(chan bool, 1)
		d.tape.post(d.tape.ctx, func() {
			list := d.tape.timers.list
			if len(list) == 0 || list[0].due.After(end) {
				ran <- false
				return
			}
			d.with(func() {
				if due := list[0].due; due.After(d.now) {
					d.now = due
				}
			})
			d.tape.fire()
			ran <- true
		})
		select {
		case more = <-ran:
		case <-d.tape.ended:
			more = false
		}
		if err := d.settle(); err != nil {
			return err
		}
	}
	d.with(func() { d.now = end })
	return nil
}

func (d *driver) ended(n int) error {
	late := time.After(10 * time.Second)
	for {
		var ended chan struct{}
		d.with(func() {
			if n < len(d.sockets) {
				ended = d.sockets[n]
			}
		})
		select {
		case <-ended:
			return nil
		case <-late:
			return fmt.Errorf("connection %d has not ended", n)
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// settle returns when the client has done all that it has to do now.
func (d *driver) settle() error {
	t := d.tape
	for end := time.Now().Add(10 * time.Second); t != nil && time.Now().Before(end); {
		if t.ctx.Err() != nil {
			<-t.ended
			return nil
		}
		still := make(chan bool, 1)
		t.post(t.ctx, func() { d.with(func() { still <- t.running == d.blocked }) })
		select {
		case ok := <-still:
			if ok {
				return nil
			}
			time.Sleep(20 * time.Microsecond)
		case <-t.ctx.Done():
		}
	}
	if t == nil {
		return nil
	}
	return errors.New("the client does not come to rest")
}

// leave ends the client, and waits until it tells nothing more.
func (d *driver) leave() {
	d.tape.cancel()
	<-d.tape.ended
	d.olds = append(d.olds, d.tape)
}

func (d *driver) stop() {
	if d.tape != nil {
		d.leave()
	}
	for _, t := range d.olds {
		t.Close()
	}
}
