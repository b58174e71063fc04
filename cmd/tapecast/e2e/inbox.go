package e2e

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// take files one message. It is called under the lock, in the order of the wire.
func (c *client) take(p []byte) {
	if bytes.HasPrefix(p, frameStart) {
		f, err := parseFrame(p)
		if err != nil {
			c.faultLocked("%v", err)
			return
		}
		if c.sums {
			f.data = nil
		}
		r := c.rooms[f.room]
		if r == nil {
			c.faultLocked("frame %d:%d of %s, a room that it is not in", f.part, f.off, f.room)
			return
		}
		r.data(f)
		return
	}
	var m struct {
		Jsonrpc string
		Method  string
		Params  json.RawMessage
		ID      json.RawMessage
		Result  json.RawMessage
		Error   *rpcError
	}
	if err := json.Unmarshal(p, &m); err != nil || m.Jsonrpc != "2.0" {
		c.bare = append(c.bare, p)
		return
	}
	if m.Method != "" {
		c.notices = append(c.notices, notice{m.Method, m.Params})
		c.noticed(m.Method, m.Params)
		return
	}
	c.replies[string(m.ID)] = reply{m.Result, m.Error}
	if how := c.methods[string(m.ID)]; how == "subscribe" || how == "unsubscribe" {
		c.replied(m.Result)
	}
}

// noticed updates the rooms from a notice.
func (c *client) noticed(method string, params json.RawMessage) {
	switch method {
	case "auto_subscribed":
		var p struct {
			GlobalRooms, UserRooms []string
			TotalRooms             int
			Positions              map[string]positions
		}
		c.decode(params, &p)
		for _, name := range append(p.GlobalRooms, p.UserRooms...) {
			c.enter(name, p.Positions[name], !strings.HasPrefix(name, "prices")) // rooms of prices are conflated
		}
		if len(p.GlobalRooms)+len(p.UserRooms) != p.TotalRooms {
			c.faultLocked("totalRooms is not the number of rooms: %s", params)
		}
	case "positions":
		var p map[string]positions
		c.decode(params, &p)
		for name, at := range p {
			if r := c.rooms[name]; r != nil {
				r.level(at)
			} else if strings.HasSuffix(name, "*") {
				c.wildcardAt(name, at)
			} else {
				c.faultLocked("positions of %s, a room that it is not in", name)
			}
		}
	case "gap":
		var p struct {
			Room     string
			From, To positions
		}
		c.decode(params, &p)
		if r := c.rooms[p.Room]; r != nil {
			r.gap(p.From, p.To)
		}
	case "snapshot_begin", "snapshot_end":
		var p struct {
			Room      string
			Positions *positions
		}
		c.decode(params, &p)
		if r := c.rooms[p.Room]; r != nil {
			r.snapshot(p.Positions)
		}
	case "joined":
		var p struct {
			Room, Pattern string
			Chain         bool
			Positions     positions
		}
		c.decode(params, &p)
		if !strings.HasPrefix(p.Room, strings.TrimSuffix(p.Pattern, "*")) {
			c.faultLocked("joined %s by %s", p.Room, p.Pattern)
		}
		c.enter(p.Room, p.Positions, p.Chain)
	case "left":
		c.replied(params)
	case "reset":
		var p struct{ Room, Epoch string }
		c.decode(params, &p)
		if r := c.rooms[p.Room]; r != nil {
			r.reset(p.Epoch)
		}
	}
}

// roomReply is what subscribe and unsubscribe answer for one room.
type roomReply struct {
	Room      string
	Status    string // joined, left
	Class     string
	Chain     bool
	Positions positions
	Already   bool
	Recovered *bool       // nil: the join had no position
	Rooms     []roomReply // of a wildcard
	Error     *rpcError
}

// replied updates the rooms from a reply to subscribe or unsubscribe.
func (c *client) replied(result json.RawMessage) { c.repliedOf(roomReplies(result)) }

func (c *client) repliedOf(list []roomReply) {
	for _, x := range list {
		switch {
		case strings.HasSuffix(x.Room, "*"):
			c.wildcardAt(x.Room, x.Positions)
			c.repliedOf(x.Rooms)
		case x.Status == "joined" && x.Already:
			if r := c.rooms[x.Room]; r == nil {
				c.faultLocked("in %s already, in which it is not", x.Room)
			} else if x.Positions.epoch != "" {
				r.level(x.Positions)
			}
		case x.Status == "joined":
			c.enter(x.Room, x.Positions, x.Chain)
			if r := c.rooms[x.Room]; x.Recovered != nil && !*x.Recovered && r != nil {
				r.missed = true
			}
		case x.Status == "left":
			c.depart(x.Room, x.Positions)
		}
	}
}

// wildcardAt keeps the positions of a wildcard.
func (c *client) wildcardAt(name string, at positions) {
	if c.wildcards == nil {
		c.wildcards = map[string]positions{}
	}
	c.wildcards[name] = at
}

func roomReplies(result json.RawMessage) []roomReply {
	var r struct{ Rooms []roomReply }
	_ = json.Unmarshal(result, &r) // null, for a request in Binance's form
	return r.Rooms
}

func (c *client) enter(name string, at positions, chain bool) {
	if c.rooms[name] != nil {
		c.faultLocked("joined %s, in which it was", name)
		return
	}
	c.rooms[name] = newRoom(name, at, chain)
}

func (c *client) depart(name string, at positions) {
	r := c.rooms[name]
	if r == nil {
		c.faultLocked("left %s, in which it was not", name)
		return
	}
	if at.epoch != "" || !r.snapping {
		if !r.chain { // a member that lags is told of a position before its last message
			for p, off := range r.seen {
				at.at[p] = max(at.at[p], off)
			}
		}
		r.level(at)
	}
	r.left = &at
	c.past = append(c.past, r)
	delete(c.rooms, name)
}

func (c *client) decode(p []byte, into any) {
	if err := json.Unmarshal(p, into); err != nil {
		c.faultLocked("%v in %.300q", err, p)
	}
}

// has returns how many frames of a room have come since the join.
func (c *client) has(room string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rooms[room]; r != nil {
		return len(r.frames)
	}
	return 0
}

// check fails the test for everything that the protocol does not allow.
func (c *client) check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	faults := slices.Clone(c.faults)
	for _, r := range c.past {
		faults = append(faults, r.faults...)
	}
	for _, r := range c.rooms {
		faults = append(faults, r.faults...)
	}
	for _, f := range faults[:min(5, len(faults))] {
		c.t.Errorf("client %s: %s", c.name, f)
	}
	if len(faults) > 5 {
		c.t.Errorf("client %s: and %d more faults", c.name, len(faults)-5)
	}
}
