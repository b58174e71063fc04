package rooms

// Level returns the positions that the tapes of all shards have reached: the least offset of each
// partition. Without an epoch they are not known, for example while a topic is being created again.
// Any goroutine may call it.
func (t *Table) Level(f *Feed) Positions {
	if f == nil || f.index < 0 {
		return Positions{}
	}
	states := make([]*feedState, len(t.shards))
	for i, s := range t.shards {
		states[i] = s.state(f)
	}
	low, _ := extent(states)
	return low
}

// extent returns the earliest and the latest positions of one feed among the shards. If a shard has
// not heard of a partition yet, it has nothing of it.
func extent(states []*feedState) (low, high Positions) {
	partitions := 0
	for _, s := range states {
		if s == nil || s.gen != states[0].gen {
			return Positions{}, Positions{}
		}
		partitions = max(partitions, len(s.off))
	}
	if len(states) == 0 {
		return Positions{}, Positions{}
	}
	low = Positions{Epoch: states[0].epoch, Offsets: make([]Pos, partitions)}
	high = Positions{Epoch: states[0].epoch, Offsets: make([]Pos, partitions)}
	for part := range int32(partitions) {
		for i, s := range states {
			off := int64(-1)
			if int(part) < len(s.off) {
				off = s.off[part]
			}
			if off == unknown {
				return Positions{}, Positions{}
			}
			if i == 0 {
				low.Offsets[part], high.Offsets[part] = Pos{part, off}, Pos{part, off}
			}
			low.Offsets[part].Offset = min(low.Offsets[part].Offset, off)
			high.Offsets[part].Offset = max(high.Offsets[part].Offset, off)
		}
	}
	return low, high
}

// Lowered returns the lesser offset of p and at for each partition. If their epochs differ, or if
// at lacks a partition, the result is not known.
func (p Positions) Lowered(at Positions) Positions {
	if p.Epoch == "" || p.Epoch != at.Epoch {
		return Positions{}
	}
	low := Positions{Epoch: p.Epoch, Offsets: make([]Pos, len(p.Offsets))}
	for i, o := range p.Offsets {
		q := at.of(o.Partition)
		if q == nil {
			return Positions{}
		}
		low.Offsets[i] = Pos{o.Partition, min(o.Offset, q.Offset)}
	}
	return low
}
