package worker

import (
	"bytes"
	"fmt"

	"tapecast/bench/proto"
)

// chain follows `pos` and `prev` of the envelopes that each client gets (wire
// protocol, data). Where prev is present it is exact. A chain belongs to one loop, and
// is used when everything is checked.
type chain struct {
	last   map[link]int64
	rooms  map[string]int
	lives  map[int]int // by client: how often its chains started again
	breaks int64
	first  string // the first break, for the report
}

type link struct {
	client, life, room int
	partition          int64
}

func newChain() *chain {
	return &chain{last: map[link]int64{}, rooms: map[string]int{}, lives: map[int]int{}}
}

// follow takes a message's envelope. One without room or position is an error.
func (c *chain) follow(client int, env []byte) error {
	room, ok := proto.Member(env, `{"room":"`)
	if !ok {
		return fmt.Errorf("an envelope without room: %.120q", env)
	}
	pos, ok := proto.Member(env, `,"pos":"`)
	if !ok {
		return fmt.Errorf("an envelope without pos: %.120q", env)
	}
	partition, offset, ok := proto.ParsePos(pos)
	if !ok {
		return fmt.Errorf("an envelope with pos %q", pos)
	}
	id, ok := c.rooms[string(room)]
	if !ok {
		id = len(c.rooms)
		c.rooms[string(room)] = id
	}
	at := link{client, c.lives[client], id, partition}
	last, known := c.last[at]
	c.last[at] = offset
	prev, ok := proto.Member(env, `,"prev":"`)
	if !ok {
		return nil
	}
	prevPartition, prevOffset, ok := proto.ParsePos(prev)
	if !ok || prevPartition != partition {
		return fmt.Errorf("an envelope with pos %q and prev %q", pos, prev)
	}
	if known && prevOffset != last {
		c.breaks++
		if c.first == "" {
			c.first = fmt.Sprintf("client %d, room %s: prev %q at pos %q, but the last was %d:%d", client, room, prev,
				pos, partition, last)
		}
	}
	return nil
}

// other takes a message that is not of this run. In a room that is followed it is still a
// link of the chain: the demo's market goes on publishing beside the bench.
func (c *chain) other(client int, p []byte) error {
	env, _, _ := bytes.Cut(p, dataMember)
	room, _ := proto.Member(env, `{"room":"`)
	if _, followed := c.rooms[string(room)]; !followed {
		return nil
	}
	if _, placed := proto.Member(env, `,"pos":"`); !placed {
		return nil // an expired key's notice has no position
	}
	return c.follow(client, env)
}

// forget handles a `gap` or `reset`: the next message starts a new chain.
func (c *chain) forget(client int, room string) {
	id, ok := c.rooms[room]
	if !ok {
		return
	}
	for at := range c.last {
		if at.client == client && at.room == id {
			delete(c.last, at)
		}
	}
}

// forgetAll handles a client that has come back without resuming.
func (c *chain) forgetAll(client int) { c.lives[client]++ }

// offset returns the last offset that a client saw of a room's partition.
func (c *chain) offset(client int, room string, partition int64) (int64, bool) {
	id, ok := c.rooms[room]
	if !ok {
		return 0, false
	}
	offset, ok := c.last[link{client, c.lives[client], id, partition}]
	return offset, ok
}

// walked notes that the last values of a room begin or end for client i. They are older
// than the client, so they are not messages that it should have got.
func (r *reader) walked(i int, room string, begins bool) {
	switch {
	case !begins:
		if delete(r.walks[i], room); len(r.walks[i]) == 0 {
			delete(r.walks, i)
		}
	case r.walks[i] == nil:
		r.walks[i] = map[string]bool{room: true}
	default:
		r.walks[i][room] = true
	}
}

// isWalked reports whether the message p of client i is such a last value.
func (r *reader) isWalked(i int, p []byte) bool {
	rooms := r.walks[i]
	if len(rooms) == 0 {
		return false
	}
	room, ok := proto.Member(p[:min(len(p), 512)], `{"room":"`)
	return ok && rooms[string(room)]
}
