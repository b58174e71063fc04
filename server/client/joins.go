package client

import (
	"context"
	"encoding/json"
	"errors"
)

const (
	roomsAsked  = 100  // rooms that one request names
	requestsNow = 8    // requests that are under way
	roomsNamed  = 1000 // rooms of a wildcard that are named with their positions
)

// joins asks for rooms, loads their state and leaves them, a few requests at a time. Tape.mu protects it.
type joins struct {
	members ordered[*Room]
	leaving ordered[struct{}] // rooms that were left: until the answer, what comes of them is dropped
	untold  ordered[struct{}] // those of them that the gateway must be told of
	asking  int
	joins   int // requests to join, which are numbered
	planned bool
	store   store
	saver   *timer
}

// Room joins a room, or returns it if it is joined. Then options other than handlers do not count.
func (t *Tape) Room(name string, opts ...RoomOption) *Room {
	var o roomOptions
	for _, opt := range opts {
		opt.room(&o)
	}
	j := &t.joins
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := j.members.get(name)
	if ok && m.wanted {
		m.handlers.add(o.handlers...)
		return m
	}
	if !ok {
		m = t.add(name, nil)
	}
	m.handlers.add(o.handlers...)
	m.wanted, m.options, m.like = true, o, o.wishes()
	if o.load != nil {
		m.forget()
	}
	for _, w := range j.members.all() {
		delete(w.without, name)
	}
	if t.unlike(m) {
		t.unsubscribe(name)
	}
	t.plan()
	return m
}

func (t *Tape) add(name string, under *Room) *Room {
	m := &Room{tape: t, name: name, without: map[string]bool{}}
	at, ok := t.joins.store.take(name)
	if ok && (under == nil || under.options.load == nil) {
		m.at, m.had = at, true
	}
	t.joins.members.put(name, m)
	return m
}

// remove forgets a room that only its wildcard had.
func (t *Tape) remove(m *Room) {
	if m.wanted {
		return
	}
	t.joins.members.delete(m.name)
	if m.under != nil {
		m.under.rooms.delete(m.name)
	}
}

// unlike reports whether a wildcard that covers the room is joined with other wishes, which would hold.
func (t *Tape) unlike(m *Room) bool {
	for _, w := range t.joins.members.all() {
		if w.asked > 0 && w.covers(m.name) && (m.options.load != nil || w.like != m.like) {
			return true
		}
	}
	return false
}

func (t *Tape) leave(m *Room) {
	if now, _ := t.joins.members.get(m.name); now != m {
		return
	}
	t.quit(m)
	m.wanted, m.over = false, true
	t.remove(m)
	for _, w := range t.joins.members.all() {
		if w.covers(m.name) {
			w.without[m.name] = true
		}
	}
	for _, sub := range m.rooms.all() {
		sub.under = nil
		sub.over = !sub.wanted
		t.remove(sub)
	}
	t.saveSoon()
}

// quit leaves what the gateway has joined as m.
func (t *Tape) quit(m *Room) {
	if m.asked > 0 || m.under != nil && m.under.asked > 0 {
		t.unsubscribe(m.name)
	}
	m.asked, m.own = 0, false
	t.lose(m)
}

// lose joins rooms again that were named after their wildcard: the gateway leaves them with it.
func (t *Tape) lose(m *Room) {
	for _, sub := range m.rooms.all() {
		if sub.wanted && !sub.own {
			sub.asked = 0
		}
	}
	t.plan()
}

func (t *Tape) unsubscribe(name string) {
	j := &t.joins
	if t.link.state != Open || j.leaving.has(name) {
		return
	}
	j.leaving.put(name, struct{}{})
	j.untold.put(name, struct{}{})
	t.plan()
}

// left forgets what was asked on a connection that has ended.
func (t *Tape) left() {
	j := &t.joins
	j.leaving.clear()
	j.untold.clear()
	j.asking = 0
	for _, m := range j.members.all() {
		m.asked, m.own, m.filling = 0, false, false
	}
}

// plan has run leave and join what is to be, after the application has named all of it.
func (t *Tape) plan() {
	t.joins.planned = true
	t.kicked()
}

// askRooms sends one of a few requests at a time. done is not called if the connection is lost before the answer.
func (t *Tape) askRooms(method string, params any, done func(result json.RawMessage, err *Error)) {
	turn := t.link.turn
	t.joins.asking++
	t.request(method, params, func(result json.RawMessage, err *Error) {
		if turn != t.link.turn {
			return
		}
		t.joins.asking--
		done(result, err)
		t.plan()
	})
}

func (t *Tape) join() {
	j := &t.joins
	for j.untold.len() > 0 && j.asking < requestsNow {
		t.depart()
	}
	var groups ordered[*[]*Room]
	for _, m := range j.members.all() {
		if !m.wanted || m.asked != 0 || m.loading || t.blocked(m) {
			continue
		}
		if m.options.load != nil && m.since() == nil {
			t.load(m)
			continue
		}
		like := "like" + m.like
		if isWild(m.name) || m.alone {
			like = "name" + m.name
		}
		group, ok := groups.get(like)
		if !ok {
			group = new([]*Room)
			groups.put(like, group)
		}
		*group = append(*group, m)
	}
	// A room that is named too is joined by its name, with its own options, before its wildcard is.
	for _, wild := range []bool{false, true} {
		for _, group := range groups.all() {
			for len(*group) > 0 && isWild((*group)[0].name) == wild && j.asking < requestsNow {
				*group = t.subscribe(*group)
			}
		}
	}
}

// blocked reports whether the room, or a wildcard that covers it or is covered, is being left.
func (t *Tape) blocked(m *Room) bool {
	for left := range t.joins.leaving.all() {
		if left == m.name || covers(left, m.name) || covers(m.name, left) {
			return true
		}
	}
	return false
}

// depart tells the gateway of rooms that were left. They stay in leaving until it has left them.
func (t *Tape) depart() {
	j := &t.joins
	var rooms []string
	room := t.link.max / 2
	for name := range j.untold.all() {
		if room -= len(name) * 3; len(rooms) == roomsAsked || room < 0 && len(rooms) > 0 {
			break
		}
		rooms = append(rooms, name)
		j.untold.delete(name)
	}
	t.askRooms("unsubscribe", unsubscribeParams{rooms}, func(_ json.RawMessage, err *Error) {
		wait := err.wait()
		if wait == 0 {
			for _, name := range rooms {
				j.leaving.delete(name)
			}
			return
		}
		t.again(wait, func() {
			for _, name := range rooms {
				j.untold.put(name, struct{}{})
			}
			t.plan()
		})
	})
}

// load asks the application for its state, again and again if that does not help.
func (t *Tape) load(m *Room) {
	n := m.loads
	m.loads++
	current := func() bool {
		now, _ := t.joins.members.get(m.name)
		return t.link.state != Closed && now == m
	}
	get := m.options.load
	begin := func() {
		t.running++
		t.others.Go(func() {
			state, from, err := get(t.ctx)
			t.post(t.ctx, func() {
				t.running--
				if current() {
					t.loaded(m, state, from, err)
				}
				m.loading = false
				t.plan()
			})
		})
	}
	m.loading = true
	if n == 0 {
		begin()
		return
	}
	t.later(t.part(waits(n), 0, 1), 0, func() {
		if current() {
			begin()
		}
	})
}

func (t *Tape) loaded(m *Room, state any, from From, err error) {
	if err == nil && from == nil {
		err = errors.New("it returned no positions")
	}
	if err == nil {
		m.at, m.next, err = from.from()
	}
	if err == nil {
		t.tell(onLoad, m, state)
	} else if !errors.Is(err, context.Canceled) || t.ctx.Err() == nil {
		t.tell(onError, m, failure(0, "cannot load: %v", err))
	}
}

// reload has the application's state loaded again, which is whole no longer: of a wildcard with all of its rooms.
func (t *Tape) reload(room *Room) {
	m := room.of()
	if m.options.load == nil {
		return
	}
	m.forget()
	for _, sub := range m.rooms.all() {
		if !sub.wanted {
			sub.forget()
		}
	}
	t.quit(m)
}
