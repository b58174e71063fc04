package worker

import (
	"encoding/json"
	"strconv"

	"tapecast/bench/proto"
)

// keep remembers the positions that client i was given when it joined.
func (l *loop) keep(i int, positions json.RawMessage) {
	if !l.job.Resume {
		return
	}
	if l.positions == nil {
		l.positions = make([]json.RawMessage, len(l.clients))
	}
	l.positions[i] = positions
}

// since returns the member of a request with which client i resumes. It holds the
// positions that the client was given, raised to the last that it saw of each partition.
// It is empty if the client does not resume or was never in.
func (l *loop) since(i int) string {
	if l.positions == nil || l.positions[i] == nil {
		return ""
	}
	var at map[string]map[string]json.RawMessage
	if json.Unmarshal(l.positions[i], &at) != nil {
		return "" // unknown positions: it joins without, and what it lacks is counted
	}
	for room, offsets := range at {
		for name := range offsets {
			partition, err := strconv.ParseInt(name, 10, 32)
			if err != nil || l.reader.chain == nil { // the epoch
				continue
			}
			given, err := strconv.ParseInt(string(offsets[name]), 10, 64)
			if offset, ok := l.reader.chain.offset(i, room, partition); ok && err == nil && offset > given {
				offsets[name] = json.RawMessage(strconv.FormatInt(offset, 10))
			}
		}
	}
	return `,"since":` + proto.JSON(at)
}
