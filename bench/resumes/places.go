package resumes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// places are positions in a room's feed: the last offset of each partition.
type places struct {
	epoch json.RawMessage // nil: the gateway gives none
	last  map[int64]int64
}

// parsePlaces reads the positions that a gateway gives with a room.
func parsePlaces(raw json.RawMessage) (places, error) {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(raw, &named); err != nil {
		return places{}, fmt.Errorf("positions that cannot be read: %w: %.120q", err, raw)
	}
	p := places{epoch: named["epoch"], last: map[int64]int64{}}
	for name, value := range named {
		if name == "epoch" {
			continue
		}
		partition, err := strconv.ParseInt(name, 10, 32)
		if err == nil {
			p.last[partition], err = strconv.ParseInt(string(value), 10, 64)
		}
		if err != nil {
			return places{}, fmt.Errorf("positions that cannot be read: %w: %.120q", err, raw)
		}
	}
	return p, nil
}

// records is how many records there ever were up to these places.
func (p places) records() (n int64) {
	for _, last := range p.last {
		n += last + 1
	}
	return n
}

// back are places so many records earlier, as evenly over the partitions as they go.
func (p places) back(n int64) places {
	q := places{epoch: p.epoch, last: maps.Clone(p.last)}
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

// unread is how many partitions have a record at or before these places.
func (p places) unread() (n int64) {
	for _, last := range p.last {
		if last >= 0 {
			n++
		}
	}
	return n
}

// since is the member of a request for that room.
func (p places) since(room string) string {
	at := map[string]any{}
	if p.epoch != nil {
		at["epoch"] = p.epoch
	}
	for partition, last := range p.last {
		at[strconv.FormatInt(partition, 10)] = last
	}
	b, err := json.Marshal(map[string]any{room: at})
	if err != nil {
		panic("BUG: places that make no JSON: " + err.Error())
	}
	return string(b)
}
