package e2e

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"
)

const valuesPartitions = 3

// viewer is what one guest has of the room, over all its connections.
type viewer struct {
	state    viewing
	epoch    string
	at       [valuesPartitions]int64 // the guest's position; not valid while epoch is ""
	snapping bool
	missed   bool      // a gap comes first
	asked    time.Time // when it asked to join
	newest   []int64   // by key: offset of its value; -1: there is none
	seen     []int64   // by key: the newest offset that the guest has seen
	taken    []view
}

type viewing uint8

const (
	viewAway viewing = iota
	viewDialed
	viewIn
	viewLeaving
	viewOut
)

// view is a snapshot: where and when it ended, and what it held.
type view struct {
	at          [valuesPartitions]int64
	asked, came time.Time
	newest      []int64
}

// viewers is a crowd of viewers.
type viewers struct {
	*crowd
	node *gateway
	of   []viewer
	keys map[string]int

	joins, resumes, stalls, vanished, restarted int
}

func newViewers(c *crowd, node *gateway) *viewers {
	v := &viewers{crowd: c, node: node, of: make([]viewer, len(c.guests)), keys: map[string]int{}}
	c.frame, c.said = v.take, v.hear
	return v
}

// step does the next thing of a guest.
func (v *viewers) step(g *guest, end bool) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := &v.of[g.n]
	switch x.state {
	case viewAway:
		x.state = viewDialed // the answer may come before dial returns
		hello := v.join(x)
		v.mu.Unlock()
		err := v.dial(g, v.node, "?token="+v.node.token(g.user), hello)
		v.mu.Lock()
		if err != nil {
			v.fault(g, "cannot connect: %v", err)
		}
	case viewOut:
		v.write(g, v.join(x))
		x.state = viewDialed
	case viewIn:
		if g.still {
			v.hold(g, false)
			return upTo(time.Second)
		}
		if end {
			return settled
		}
		switch n := rand.IntN(10); {
		case n < 4:
			v.stalls++
			v.hold(g, true)
			return upTo(5 * time.Second)
		case n < 6:
			v.vanished++
			v.drop(g)
			if x.snapping {
				x.epoch, x.snapping = "", false
			}
			x.state = viewAway
			return upTo(3 * time.Second)
		default:
			v.write(g, request("unsubscribe", map[string]any{"rooms": []string{"quotes"}}))
			x.state = viewLeaving
		}
	}
	return 20*time.Millisecond + upTo(2*time.Second)
}

// join returns the request to join, in two of three cases from the guest's position.
func (v *viewers) join(x *viewer) []byte {
	v.joins++
	params := map[string]any{"rooms": []string{"quotes"}}
	if x.asked = time.Now(); x.epoch != "" && rand.IntN(3) > 0 {
		at := positions{x.epoch, map[int32]int64{}}
		for p, off := range x.at {
			at.at[int32(p)] = off
		}
		params["since"] = map[string]any{"quotes": at.object()}
		v.resumes++
	}
	x.epoch = ""
	return request("subscribe", params)
}

func (v *viewers) hear(g *guest, method string, p notified) {
	x := &v.of[g.n]
	switch method {
	case "":
		v.reply(g, x, p)
	case "snapshot_begin":
		if x.snapping { // the guest stalled for longer than tombstones are kept
			v.restarted++
		}
		x.snapping, x.epoch = true, ""
		for i := range x.newest {
			x.newest[i] = -1
		}
	case "snapshot_end":
		var m struct{ Positions positions }
		if err := json.Unmarshal(p.Params, &m); err != nil || !x.snapping {
			v.fault(g, "%v at the end of a snapshot: %s", err, p.Params)
		}
		x.snapping = false
		v.stand(g, x, m.Positions)
		x.taken = append(x.taken, view{x.at, x.asked, time.Now(), slices.Clone(x.newest)})
	case "positions":
		var m map[string]positions
		if err := json.Unmarshal(p.Params, &m); err != nil {
			v.fault(g, "%v in %s", err, p.Params)
		}
		if at, ok := m["quotes"]; ok && x.epoch != "" {
			v.stand(g, x, at)
		}
	case "gap", "reset":
		if method != "gap" || !x.missed { // of a position that was too old
			v.fault(g, "%s %s", method, p.Params)
		}
		x.missed = false
	}
}

// reply takes the answer to a join or a leave.
func (v *viewers) reply(g *guest, x *viewer, p notified) {
	r := roomReplies(p.Result)
	switch {
	case len(r) != 1 || p.Error != nil:
		if x.state == viewDialed || x.state == viewLeaving {
			v.fault(g, "%s %+v", p.Result, p.Error)
		}
	case r[0].Status == "joined":
		if e := r[0].Error; e != nil && e.Code != -32008 {
			v.fault(g, "%+v", *e)
		} else if e != nil {
			v.resumes--
			x.missed = true
		}
		if x.state = viewIn; r[0].Positions.epoch != "" && !x.snapping {
			v.stand(g, x, r[0].Positions)
		}
	case r[0].Status == "left":
		if x.state = viewOut; x.snapping {
			x.epoch, x.snapping = "", false
		} else if x.epoch != "" {
			v.raise(x, r[0].Positions) // a member that lags is told of a position before its last message
		}
	default:
		v.fault(g, "%s", p.Result)
	}
}

// stand sets a guest's position, which must not be before the one that it has.
func (v *viewers) stand(g *guest, x *viewer, at positions) {
	for p := range x.at {
		if off, ok := at.at[int32(p)]; !ok || x.epoch != "" && off < x.at[p] {
			v.fault(g, "is told of %v, and had been at %v", at, x.at)
		} else {
			x.at[p] = off
		}
	}
	x.epoch = at.epoch
}

func (v *viewers) raise(x *viewer, at positions) {
	for p := range x.at {
		x.at[p] = max(x.at[p], at.at[int32(p)])
	}
}

var dataNull = []byte(`,"data":null}`)

func (v *viewers) take(g *guest, p []byte) {
	x := &v.of[g.n]
	_, rest, ok := bytes.Cut(p, []byte(`,"key":"`))
	name, _, whole := bytes.Cut(rest, []byte(`"`))
	if !ok || !whole || x.state == viewOut {
		v.fault(g, "in state %d came %.200s", x.state, p)
		return
	}
	key, ok := v.keys[string(name)]
	if !ok {
		key = len(v.keys)
		v.keys[string(name)] = key
	}
	for len(x.newest) <= key {
		x.newest, x.seen = append(x.newest, -1), append(x.seen, -1)
	}
	gone := bytes.HasSuffix(p, dataNull)
	part, off, _, _, ok := posOf(p)
	switch {
	case !ok && gone: // no update for a long time
	case !ok, off < x.seen[key], off == x.seen[key] && !x.snapping:
		v.fault(g, "after %d of its key came %.200s", x.seen[key], p)
	case !x.snapping && x.epoch != "":
		x.at[part] = max(x.at[part], off)
	}
	if x.newest[key] = off; gone {
		x.newest[key] = -1
	}
	if ok {
		x.seen[key] = off
	}
}
