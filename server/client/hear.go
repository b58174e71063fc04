package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// answer is the answer about one room, or what a wildcard says of one of its rooms.
type answer struct {
	Room, Pattern, Status, Class string
	Chain, Already               bool
	Recovered                    *bool // nil: the join had no position
	Positions                    *Positions
	Error                        *Error
	Rooms                        []answer // nil: it says nothing of them
}

func (a *answer) refused() bool { return a.Error != nil && a.Status != "joined" }

// missed reports whether a gap follows, which tells of it and raises the positions. The connection
// may end before it, so the answer raises none.
func (a *answer) missed() bool { return a.Recovered != nil && !*a.Recovered }

// answer takes the answer about a room. under is the wildcard that tells of it.
func (t *Tape) answer(a *answer, under *Room) {
	j := &t.joins
	m, ok := j.members.get(a.Room)
	if j.leaving.has(a.Room) {
		return
	}
	if under != nil && (!ok || !m.wanted) {
		switch {
		case under.without[a.Room]:
			t.unsubscribe(a.Room)
			return
		case a.refused(): // it stays out until it is joined by name
			if ok {
				t.remove(m)
			}
			t.events = append(t.events, event{onError, under, a.Room, a.Error})
			return
		case !ok:
			m, ok = t.add(a.Room, under), true
		}
	}
	if !ok {
		return
	}
	if under != nil {
		m.under = under
		under.rooms.put(m.name, m)
		if a.refused() {
			return // as it was named it has an answer of its own
		}
	} else if a.Already && !m.own && t.unlike(m) { // its wildcard was faster
		if m.options.load != nil {
			m.forget()
		}
		t.quit(m)
		return
	}
	m.own = m.own || under == nil && !a.Already
	m.chain = a.Chain
	before := m.at.clone()
	blind := under == nil && m.had && !m.resumed && a.Positions != nil && a.Positions.Epoch != ""
	if m.had = true; !a.missed() {
		t.raise(m, a.Positions)
		m.next = nil
	}
	if under == nil {
		joined := Joined{Room: m.name, Class: a.Class, Chain: a.Chain, Recovered: a.Recovered != nil && *a.Recovered}
		if a.Positions != nil {
			joined.Positions = a.Positions.clone()
		}
		t.tell(onJoined, m, joined)
	}
	if blind && !a.Already {
		t.gap(m, Gap{From: before, To: *a.Positions, Cause: "unknown"})
	}
	t.listed(m, a)
}

// listed takes what a wildcard's answer says of its rooms.
func (t *Tape) listed(m *Room, a *answer) {
	listed := make(map[string]bool, len(a.Rooms))
	for i := range a.Rooms {
		listed[a.Rooms[i].Room] = true
		t.answer(&a.Rooms[i], m)
	}
	if a.Rooms == nil || !m.whole {
		return
	}
	for _, sub := range m.rooms.all() { // one that was named with its position and is not listed is there no more
		if !listed[sub.name] {
			t.remove(sub)
		}
	}
}

func (t *Tape) raise(m *Room, to *Positions) {
	if m.raise(to) {
		t.reset(m, m.at)
	}
}

func (t *Tape) reset(m *Room, at Positions) {
	m.at, m.filling = at, false
	clear(m.last)
	t.tell(onReset, m, Reset{m.name, at.Epoch})
	t.reload(m)
}

func (t *Tape) gap(m *Room, g Gap) {
	g.Room = m.name
	t.tell(onGap, m, g)
	t.reload(m)
}

// gone reports whether the room, or the wildcard that it belongs to, is being left.
func (t *Tape) gone(m *Room) bool {
	leaving := &t.joins.leaving
	return leaving.len() > 0 && (leaving.has(m.name) || leaving.has(m.of().name))
}

func (t *Tape) message(f *frame) error {
	m, ok := t.joins.members.get(*f.Room)
	if !ok || t.gone(m) {
		return nil
	}
	if f.Pos != "" {
		partition, offset, err := positionOf(f.Pos)
		if err != nil {
			return err
		}
		if had, ok := m.at.Offsets[partition]; ok {
			if offset <= had {
				return nil
			}
			if f.Prev != "" && m.chain {
				_, prev, err := positionOf(f.Prev)
				if err != nil {
					return err
				}
				if prev > had && !t.mend(m, partition, prev) {
					return nil
				}
			}
		}
		m.at.set(partition, offset)
	}
	msg := &Message{Room: m.name, Type: f.Type, Pos: f.Pos, Prev: f.Prev, TS: f.TS, Data: f.Data}
	if f.Key != nil {
		msg.Key, msg.keyed = *f.Key, true
	}
	m.of().loads = 0
	m.keep(msg)
	t.saveSoon()
	t.tell(onMessage, m, msg)
	return nil
}

// positionOf reads "partition:offset".
func positionOf(pos string) (partition int32, offset int64, err error) {
	p, o, _ := strings.Cut(pos, ":")
	n, err := strconv.ParseInt(p, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no position", pos)
	}
	offset, err = strconv.ParseInt(o, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no position", pos)
	}
	return int32(n), offset, nil
}

// mend handles a message that is missing. The room resumes on another connection. If it is missing
// there too, that is a gap, and mend reports whether the message after it is delivered.
func (t *Tape) mend(m *Room, partition int32, prev int64) bool {
	at := fmt.Sprintf("%s %d:%d", m.at.Epoch, partition, m.at.Offsets[partition])
	if m.broken != at {
		m.broken = at
		t.lost(1006, fmt.Sprintf("a message of %s is missing before %d:%d", m.name, partition, prev))
		return false
	}
	from, to := m.at.clone(), m.at.clone()
	to.set(partition, prev)
	t.gap(m, Gap{From: from, To: to, Cause: "chain"})
	return m.of().options.load == nil // otherwise it is loaded again
}

// named returns a room that is not being left.
func (t *Tape) named(name string) *Room {
	m, ok := t.joins.members.get(name)
	if !ok || t.gone(m) {
		return nil
	}
	return m
}

// notice takes a notice of the gateway.
func (t *Tape) notice(method string, params json.RawMessage) error {
	take, ok := notices[method]
	if !ok {
		return nil
	}
	defer t.saveSoon()
	return take(t, params)
}

var notices map[string]func(t *Tape, params json.RawMessage) error
