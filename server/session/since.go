package session

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"

	"tapecast/rooms"
	"tapecast/server/jsontext"
)

// positionsByName reads the positions that a client has, by room. Positions without an epoch are
// accepted here, and the room's answer says that they are not enough: the gateway itself gives {}
// as long as it has not read the topic.
func (w *wishes) positionsByName(v *fastjson.Value) fault {
	o, err := v.Object()
	if err != nil {
		return badParams(`params.since must be an object of positions by room, such as ` +
			`{"orders:42":{"epoch":"k3x9","0":1234}}`)
	}
	if o.Len() > maxNames {
		return overMost(fmt.Sprintf("params.since names more than %d rooms; send several requests", maxNames))
	}
	w.since, w.times = make(map[string]rooms.Positions, o.Len()), map[string]int64{}
	why := ""
	o.Visit(func(room []byte, v *fastjson.Value) {
		if why != "" {
			return
		}
		if ts := v.Get("ts"); ts != nil {
			w.times[string(room)], why = timeOf(v, ts)
		} else if next := v.Get("next"); next != nil {
			why = w.nextOf(string(room), v, next)
		} else {
			var p rooms.Positions
			p, why = positionsOf(v)
			w.since[string(room)] = p
		}
		if why != "" {
			why = "params.since[" + jsontext.Quoted(string(room)) + "]" + why
		}
	})
	if why != "" {
		return badParams(why)
	}
	return fault{}
}

// Times that a client can mean, in ms since 1970, and not in seconds or microseconds.
const (
	firstTime = 100_000_000_000
	lastTime  = 100_000_000_000_000
)

// timeOf reads a position given as a time: {"ts":1699123456789}.
func timeOf(v, ts *fastjson.Value) (ms int64, why string) {
	if o, err := v.Object(); err != nil || o.Len() > 1 {
		return 0, " has a ts and more: give a time, or the epoch and offsets"
	}
	ms, whole := wholeNumberOf(ts)
	if !whole || ms < firstTime || ms > lastTime {
		return 0, ".ts must be a time in whole milliseconds since 1970, not " + string(ts.MarshalTo(nil))
	}
	return ms, ""
}

// maxPartitions bounds the partitions of one room's positions.
const maxPartitions = 10_000

// positionsOf reads one room's positions: {"epoch":"k3x9","0":1234}.
func positionsOf(v *fastjson.Value) (p rooms.Positions, why string) {
	o, err := v.Object()
	if err != nil {
		return p, " must be an object with the epoch and an offset for each partition"
	}
	if o.Len() > maxPartitions {
		return p, " names too many partitions"
	}
	o.Visit(func(name []byte, v *fastjson.Value) {
		if string(name) == "epoch" {
			b, err := v.StringBytes()
			if p.Epoch = string(b); err != nil {
				why = " has an epoch that is not a string"
			}
			return
		}
		part, err := strconv.ParseInt(string(name), 10, 32)
		off, whole := wholeNumberOf(v)
		plain := strconv.FormatInt(part, 10) == string(name) // not 00 or +0 beside 0
		if err != nil || part < 0 || !plain || !whole || off < -1 {
			why = " must have partition numbers as names and offsets as numbers, not " + jsontext.Quoted(string(name)) +
				": " + string(v.MarshalTo(nil))
			return
		}
		p.Offsets = append(p.Offsets, rooms.Pos{Partition: int32(part), Offset: off})
	})
	return p, why
}

// nextOf reads a position as Kafka's own consumers have it, with the offsets to read next:
// {"topicId":"…","next":{"0":1235}}, or an epoch in place of the topic's id.
func (w *wishes) nextOf(room string, v, next *fastjson.Value) (why string) {
	id, epoch := v.Get("topicId"), v.Get("epoch")
	if (id == nil) == (epoch == nil) {
		return " has next, and needs the topicId or the epoch that the offsets are of"
	}
	b, err := cmp.Or(id, epoch).StringBytes()
	if err != nil {
		return " has a topicId or an epoch that is not a string"
	}
	p, why := positionsOf(next)
	if why != "" {
		return ".next" + why
	}
	for i := range p.Offsets {
		if p.Offsets[i].Offset--; p.Offsets[i].Offset < -1 {
			return ".next has an offset below 0: it has the offsets to read next"
		}
	}
	if p.Epoch = string(b); id != nil {
		if w.topics == nil {
			w.topics = map[string]string{}
		}
		w.topics[room] = p.Epoch
	}
	w.since[room] = p
	return ""
}

// sinceOf returns the positions that a client has in a room of the pattern.
func (w *wishes) sinceOf(room string, p *rooms.Pattern) (at rooms.Positions, ok bool) {
	at, ok = w.since[room]
	if id := w.topics[room]; id != "" && p.Feed != nil {
		at.Epoch = p.Feed.EpochOf(id)
	}
	return at, ok
}

// strays returns the rooms in since that a request for the names does not join, sorted by name. most is
// how many wildcards it may join.
func (h *Handler) strays(names []string, w wishes, most int) (list []string) {
	if len(w.since)+len(w.times) == 0 {
		return nil
	}
	named := make(map[string]struct{}, len(names))
	var prefixes []string
	for _, name := range names {
		named[name] = struct{}{}
		prefix, wildcard := strings.CutSuffix(name, "*")
		if wildcard && !w.noWildcards && len(prefixes) < most {
			prefixes = append(prefixes, prefix)
		}
	}
	look := func(room string) {
		if _, ok := named[room]; !ok && !h.isUnder(room, prefixes) {
			list = append(list, room)
		}
	}
	for room := range w.since {
		look(room)
	}
	for room := range w.times {
		look(room)
	}
	slices.Sort(list)
	return list
}

// isUnder reports whether a wildcard with one of those prefixes joins the room. For an invalid
// wildcard that is not known, and its own answer says so.
func (h *Handler) isUnder(room string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		if !strings.HasPrefix(room, prefix) {
			return false
		}
		under, _ := h.catalog.Under(prefix)
		of, _, _ := h.catalog.Resolve(room)
		return under == nil || of == under
	})
}

// strayFault returns the fault for a room of params.since that is not joined.
func strayFault(room, why string) fault {
	return badParams("params.since[" + jsontext.Quoted(room) + "]: the room " + why)
}
