package client

import (
	"encoding/json"
	"time"
)

// waits returns the most that the nth try in turn waits.
func waits(n int) time.Duration { return time.Duration(min(60, 1<<min(n, 6))) * time.Second }

// joining is one request to join.
type joining struct {
	rooms []*Room
	id    int
	since map[string]any
	room  int // bytes that are left of it
	named int // rooms of wildcards, with their positions
}

// fits reports whether a room with its position has room in the request, and names the position.
func (r *joining) fits(name string, at any) bool {
	size := 1
	if at != nil {
		b, err := json.Marshal(at)
		if err != nil {
			panic("BUG: positions that JSON cannot say: " + err.Error())
		}
		size = len(b)
	}
	if r.room -= len(name)*2 + size + 10; r.room < 0 && len(r.rooms) > 0 {
		return false
	}
	if at != nil {
		r.since[name] = at
	}
	return true
}

// names reports whether a room of a wildcard that has a position is named with it.
func (r *joining) names(name string, at any) bool {
	if at == nil {
		return true
	}
	r.named++
	return r.named <= roomsNamed && r.fits(name, at)
}

// subscribe asks for rooms of the group, as many as fit into one message with their positions, and
// returns the rest.
func (t *Tape) subscribe(group []*Room) (rest []*Room) {
	o := &group[0].options
	params := subscribeParams{Keys: o.keys, MaxRate: o.maxRate, Snapshot: o.snapshot}
	if o.load != nil {
		params.Snapshot = new(bool)
	}
	t.joins.joins++
	r := &joining{id: t.joins.joins, since: map[string]any{}, room: t.link.max / 2}
	for _, key := range o.keys {
		r.room -= len(key) + 3
	}
	for len(group) > 0 && len(r.rooms) < roomsAsked && r.fits(group[0].name, group[0].since()) {
		m := group[0]
		group = group[1:]
		m.asked, m.resumed, m.whole = r.id, r.since[m.name] != nil, m.brief < 2
		r.rooms = append(r.rooms, m)
		params.Rooms = append(params.Rooms, m.name)
		if isWild(m.name) && m.resumed {
			t.nameRooms(r, m)
		}
	}
	params.Since = r.since
	t.askRooms("subscribe", params, func(result json.RawMessage, err *Error) { t.answered(r, result, err) })
	return group
}

// nameRooms names the positions of a wildcard's rooms, which may be further than it is.
func (t *Tape) nameRooms(r *joining, m *Room) {
	if m.whole {
		for _, sub := range m.rooms.all() {
			if !sub.wanted && !r.names(sub.name, sub.since()) {
				m.whole = false
				break
			}
		}
	}
	if m.brief > 0 || m.options.load != nil {
		return
	}
	for name, at := range t.joins.store.left.all() {
		if m.covers(name) && !t.joins.members.has(name) && !r.names(name, at) {
			break
		}
	}
}

// answered takes the answer to a join. What it refuses for now is asked for again, all of it together.
func (t *Tape) answered(r *joining, result json.RawMessage, err *Error) {
	var list roomList
	if err == nil {
		if e := json.Unmarshal(result, &list); e != nil {
			t.fail(failure(0, "cannot read the answer to a join: %v", e), "")
		}
	}
	refused := map[string]*Error{}
	for i := range list.Rooms {
		if a := &list.Rooms[i]; a.refused() {
			refused[a.Room] = a.Error
		} else {
			t.answer(a, nil)
		}
	}
	var again []*Room
	var most time.Duration
	for _, m := range r.rooms {
		e := err
		if e == nil {
			e = refused[m.name]
		}
		if now, _ := t.joins.members.get(m.name); e == nil || m.asked != r.id || now != m {
			continue
		}
		switch wait := e.wait(); {
		case wait > 0:
			again = append(again, m)
			most = max(most, wait)
		case err != nil && len(r.rooms) > 1: // it may be the fault of one of them
			m.alone, m.asked = true, 0
		case err != nil && r.named > 0 && m.brief < 2: // a room with a pattern of its own is none of the wildcard's
			m.brief++
			m.asked = 0
		default:
			m.asked = -1
			t.tell(onError, m, e)
		}
	}
	if most == 0 {
		return
	}
	t.again(most, func() {
		for _, m := range again {
			if m.asked == r.id {
				m.asked = 0
			}
		}
		t.plan()
	})
}
