package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Room is a membership of a room, or of all rooms of a wildcard such as "prices:BTC*".
type Room struct {
	tape *Tape
	name string

	// What follows belongs to Tape.mu.
	handlers emitter
	last     map[string]Message
	rooms    ordered[*Room] // of a wildcard
	at       Positions
	next     *NextPositions // what Load gave, without an epoch: the gateway's answer has one
	options  roomOptions
	like     string          // tells wishes of a join from others
	wanted   bool            // the application asked for it by name
	over     bool            // it was left
	asked    int             // which request of this connection joins it; 0: none yet; below: it must not be asked for
	own      bool            // it is joined by its own name; else the gateway leaves it with its wildcard
	alone    bool            // it is asked for alone: a request for many was refused
	brief    int             // what a wildcard's request leaves out of its rooms' positions: 1 the stored ones, 2 all
	whole    bool            // all of its rooms' positions were in the last request
	without  map[string]bool // rooms that a wildcard must not have, since they were left
	had      bool            // it was joined at least once
	resumed  bool            // the last join named a position
	chain    bool
	filling  bool   // it is between snapshot_begin and snapshot_end, where it has no position
	keyed    bool   // it, or a room of it, has had a snapshot: last values are kept, positions are not stored
	loading  bool   // Load runs, or will
	loads    int    // how often Load was called since the last message
	broken   string // where its chain was broken
	under    *Room  // the wildcard that joined it
}

// Name returns the name of the room or wildcard.
func (m *Room) Name() string { return m.name }

// Last returns the newest message of a key, in rooms with a snapshot, and in conflated and filtered ones.
func (m *Room) Last(key string) (Message, bool) {
	m.tape.mu.Lock()
	defer m.tape.mu.Unlock()
	last, ok := m.last[key]
	return last, ok
}

// LastValues returns a copy of the newest messages, by key.
func (m *Room) LastValues() map[string]Message {
	m.tape.mu.Lock()
	defer m.tape.mu.Unlock()
	return maps.Clone(m.last)
}

// Rooms returns the rooms of a wildcard.
func (m *Room) Rooms() []*Room {
	m.tape.mu.Lock()
	defer m.tape.mu.Unlock()
	all := make([]*Room, 0, m.rooms.len())
	for _, sub := range m.rooms.all() {
		all = append(all, sub)
	}
	return all
}

// Positions returns a copy of where the room stands.
func (m *Room) Positions() Positions {
	m.tape.mu.Lock()
	defer m.tape.mu.Unlock()
	return m.at.clone()
}

// On adds a handler for the events of the room. What came before is not told. off removes it.
func (m *Room) On(h Handler) (off func()) { return m.tape.on(&m.handlers, h) }

// Leave leaves the room. A wildcard's room stays left until it is named, or the wildcard joined again.
// After Leave no handler is called with its events, but for one that runs already.
func (m *Room) Leave() {
	m.tape.mu.Lock()
	defer m.tape.mu.Unlock()
	m.tape.leave(m)
}

// covers reports whether the first name is a wildcard with the prefix of the second.
func covers(wild, name string) bool {
	prefix, ok := strings.CutSuffix(wild, "*")
	return ok && strings.HasPrefix(name, prefix)
}

func isWild(name string) bool { return strings.HasSuffix(name, "*") }

func (m *Room) covers(room string) bool { return covers(m.name, room) && !isWild(room) }

// of returns whose wishes hold for it: itself, or its wildcard.
func (m *Room) of() *Room {
	if m.wanted || m.under == nil {
		return m
	}
	return m.under
}

// since returns what a join says of where it stands: nil if it has no position that can be resumed.
func (m *Room) since() any {
	switch {
	case m.at.Epoch != "":
		return m.at.clone()
	case m.next != nil:
		return m.next
	}
	return nil
}

// forget forgets where it stands.
func (m *Room) forget() {
	m.at, m.next = Positions{}, nil
	m.had, m.filling = false, false
}

// raise raises the positions: within an epoch they never go back. It reports whether another epoch has begun.
func (m *Room) raise(to *Positions) (other bool) {
	if to == nil || m.filling {
		return false
	}
	was := m.at.Epoch
	if other = to.Epoch != "" && to.Epoch != was; other {
		m.at = Positions{Epoch: to.Epoch}
	}
	for partition, offset := range to.Offsets {
		if had, ok := m.at.Offsets[partition]; !ok || offset > had {
			m.at.set(partition, offset)
		}
	}
	return other && was != ""
}

// keep keeps the newest message of its key, if the keys are bounded: by the gateway or by Keys.
func (m *Room) keep(msg *Message) {
	o := &m.of().options
	if !msg.keyed || !m.keyed && o.keys == nil && (m.chain || o.maxRate > 0) {
		return
	}
	if isNull(msg.Data) {
		delete(m.last, msg.Key)
		return
	}
	if m.last == nil {
		m.last = map[string]Message{}
	}
	m.last[msg.Key] = *msg
}

// wishes returns what tells this join from others.
func (o *roomOptions) wishes() string {
	b, err := json.Marshal([]any{o.keys, o.maxRate, o.snapshot, o.load == nil})
	if err != nil {
		return fmt.Sprintf("%q %v %v", o.keys, o.maxRate, err) // a rate that is no number: the gateway refuses it
	}
	return string(b)
}
