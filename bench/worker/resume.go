package worker

import (
	"encoding/json"
	"strconv"
)

// keep remembers the positions that client i was given when it joined.
func (l *loop) keep(i int, positions json.RawMessage) {
	if !l.job.Resume {
		return
	}
	if l.places == nil {
		l.places = make([]json.RawMessage, len(l.clients))
	}
	l.places[i] = positions
}

// since is the member of a request that has client i go on where it was: from the
// places that it was given, raised to the last that it saw of each partition.
// Empty, where it does not resume or was never in.
func (l *loop) since(i int) string {
	if l.places == nil || l.places[i] == nil {
		return ""
	}
	var at map[string]map[string]json.RawMessage
	if json.Unmarshal(l.places[i], &at) != nil {
		return "" // positions of a shape unknown: it joins, and what it lacks is counted
	}
	for room, places := range at {
		for name := range places {
			partition, err := strconv.ParseInt(name, 10, 32)
			if err != nil || l.reader.chain == nil { // the epoch
				continue
			}
			given, err := strconv.ParseInt(string(places[name]), 10, 64)
			if offset, ok := l.reader.chain.place(i, room, partition); ok && err == nil && offset > given {
				places[name] = json.RawMessage(strconv.FormatInt(offset, 10))
			}
		}
	}
	b, err := json.Marshal(at)
	if err != nil {
		panic("BUG: places that make no JSON: " + err.Error())
	}
	return `,"since":` + string(b)
}
