package client

import "encoding/json"

func init() {
	notices = map[string]func(t *Tape, params json.RawMessage) error{
		"positions": of((*Tape).positions), "joined": of((*Tape).joined), "left": of((*Tape).leftRooms),
		"limit": (*Tape).limit, "gap": of((*Tape).gapNotice), "reset": of((*Tape).resetNotice),
		"snapshot_begin": of((*Tape).snapshotBegin), "snapshot_end": of((*Tape).snapshotEnd),
	}
}

// of reads the params of a notice before it is taken.
func of[P any](take func(*Tape, P)) func(*Tape, json.RawMessage) error {
	return func(t *Tape, b json.RawMessage) error {
		var p P
		if !isNull(b) {
			if err := json.Unmarshal(b, &p); err != nil {
				return err
			}
		}
		take(t, p)
		return nil
	}
}

func (t *Tape) positions(all map[string]*Positions) {
	for name, to := range all {
		if m := t.named(name); m != nil {
			t.raise(m, to)
		}
	}
}

func (t *Tape) joined(a answer) {
	if wild := t.named(a.Pattern); wild != nil {
		t.answer(&a, wild)
	}
}

// leftRooms takes what a new token forbids.
func (t *Tape) leftRooms(p leftNotice) {
	for _, one := range p.Rooms {
		m := t.named(one.Room)
		if m == nil {
			continue
		}
		t.tell(onError, m, &Error{Code: p.Code, Message: p.Message})
		m.asked, m.own = -1, false
		t.lose(m)
		t.remove(m)
		for _, sub := range m.rooms.all() {
			t.remove(sub)
		}
	}
}

func (t *Tape) limit(params json.RawMessage) error {
	var p limitNotice
	if err := json.Unmarshal(params, &p); err != nil {
		return err
	}
	if wild := t.named(p.Pattern); wild != nil {
		e := failure(-32009, "it joins no more rooms, such as %s", p.Room)
		e.Data = params
		t.tell(onError, wild, e)
	}
	return nil
}

func (t *Tape) gapNotice(p gapNotice) {
	m := t.named(p.Room)
	if m == nil {
		return
	}
	t.raise(m, p.To)
	g := Gap{Cause: "server"}
	if p.From != nil {
		g.From = *p.From
	}
	if p.To != nil {
		g.To = *p.To
	}
	t.gap(m, g)
}

func (t *Tape) resetNotice(p resetNotice) {
	m := t.named(p.Room)
	if m == nil {
		return
	}
	for _, w := range t.joins.members.all() {
		if w.covers(m.name) {
			w.at = Positions{Epoch: p.Epoch}
		}
	}
	if m.at.Epoch != p.Epoch {
		t.reset(m, Positions{Epoch: p.Epoch})
	}
}

func (t *Tape) snapshotBegin(p snapshotBeginNotice) {
	m := t.named(p.Room)
	if m == nil {
		return
	}
	m.at = Positions{}
	m.filling, m.keyed = true, true
	if m.under != nil {
		m.under.keyed = true
	}
	clear(m.last)
}

func (t *Tape) snapshotEnd(p snapshotEndNotice) {
	if m := t.named(p.Room); m != nil {
		m.filling = false
		t.raise(m, p.Positions)
	}
}
