package resumes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"tapecast/bench/proto"
)

// positions are positions in a room's feed: the last offset of each partition.
type positions struct {
	epoch json.RawMessage // nil: the gateway gives none
	last  map[int64]int64
}

// parsePositions parses the positions that a gateway gives with a room.
func parsePositions(raw json.RawMessage) (positions, error) {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(raw, &named); err != nil {
		return positions{}, fmt.Errorf("cannot read positions: %w: %.120q", err, raw)
	}
	p := positions{epoch: named["epoch"], last: map[int64]int64{}}
	for name, value := range named {
		if name == "epoch" {
			continue
		}
		partition, err := strconv.ParseInt(name, 10, 32)
		if err == nil {
			p.last[partition], err = strconv.ParseInt(string(value), 10, 64)
		}
		if err != nil {
			return positions{}, fmt.Errorf("cannot read positions: %w: %.120q", err, raw)
		}
	}
	return p, nil
}

// records returns how many records there ever were up to these positions.
func (p positions) records() (n int64) {
	for _, last := range p.last {
		n += last + 1
	}
	return n
}

// back returns the positions n records earlier, spread evenly over the partitions if possible.
func (p positions) back(n int64) positions {
	q := positions{epoch: p.epoch, last: maps.Clone(p.last)}
	for left := int64(len(q.last)); left > 0 && n > 0; left = q.unread() {
		share := max(1, n/left)
		for _, partition := range slices.Sorted(maps.Keys(q.last)) {
			take := min(share, q.last[partition]+1, n)
			q.last[partition] -= take
			n -= take
		}
	}
	return q
}

// unread returns how many partitions have a record at or before these positions.
func (p positions) unread() (n int64) {
	for _, last := range p.last {
		if last >= 0 {
			n++
		}
	}
	return n
}

// since returns the member of a request with these positions in a room.
func (p positions) since(room string) string {
	at := map[string]any{}
	if p.epoch != nil {
		at["epoch"] = p.epoch
	}
	for partition, last := range p.last {
		at[strconv.FormatInt(partition, 10)] = last
	}
	return proto.JSON(map[string]any{room: at})
}
