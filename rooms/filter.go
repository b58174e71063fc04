package rooms

import (
	"maps"
	"slices"

	"tapecast/rooms/wire"
)

// maxFiltered is how many frames one cut looks at when it leaves some out.
const maxFiltered = 4096

// Filter says which frames of a room a member is not sent. The zero value leaves out nothing.
type Filter struct {
	// Have lists what the client already has: of each partition, everything up to and including the
	// offset. It applies to frames with numbers below Until, or to all frames if Ahead is set.
	// Until is where the member joined, or where its snapshot began.
	Have  []Pos
	Until uint64
	Ahead bool
	// Coding is the form that the member takes.
	Coding Coding

	reset uint64 // number after the newest reset that was cut; frames from there on are not in Have; 0: none

	keys map[string]struct{} // the only ones wanted; nil: all
	text map[string]struct{} // the same as they stand in an envelope
}

// Resumed makes the filter leave out what a client that resumes already has.
func (s *Filter) Resumed(how *Resume) {
	s.Have, s.Until, s.Ahead, s.reset = how.Have, how.Until, how.Ahead, 0
}

// SetKeys makes the filter leave out all other keys.
func (s *Filter) SetKeys(keys []string) {
	s.keys, s.text = map[string]struct{}{}, map[string]struct{}{}
	for _, k := range keys {
		s.keys[k] = struct{}{}
		quoted := wire.AppendString(nil, k)
		s.text[string(quoted[1:len(quoted)-1])] = struct{}{}
	}
}

// Keys returns the wanted keys, sorted, or nil if all are wanted.
func (s *Filter) Keys() []string { return slices.Sorted(maps.Keys(s.keys)) }

// Keyed reports whether only some keys are wanted.
func (s *Filter) Keyed() bool { return s.keys != nil }

// behindReset reports whether a member with the cursor at has been sent a reset. The tape may no
// longer have it.
func (s *Filter) behindReset(at uint64) bool { return s.reset > 0 && at >= s.reset }

func (s *Filter) has(num uint64, part int32, off int64) bool {
	return (num < s.Until || s.Ahead) && within(s.Have, part, off)
}

// within reports whether the offset is at or before the one in list for its partition.
func within(list []Pos, part int32, off int64) bool {
	p := posOf(list, part)
	return p != nil && off <= p.Offset
}

// wants reports whether the tape's frame number num must be sent. Notices are always sent. Frames
// after a reset are of another epoch, and so not in Have.
func (s *Filter) wants(num uint64, f frameAt, frame []byte, reset bool) bool {
	if !f.source.record() && f.source != sourceExpired {
		return true
	}
	if f.source.record() && !reset && s.has(num, f.source.partition(), f.off) {
		return false
	}
	return s.wantsKey(frame)
}

func (s *Filter) wantsKey(frame []byte) bool {
	if s.keys == nil {
		return true
	}
	_, ok := s.text[string(wire.KeyText(frame))]
	return ok
}

// wantsLast is wants for a newest frame.
func (s *Filter) wantsLast(f *lastFrame, reset bool) bool {
	if f.kind == lastNotice { // a snapshot or a resume needs no earlier notice
		return f.num >= s.Until
	}
	if s.keys != nil {
		if _, ok := s.keys[f.key]; !ok {
			return false
		}
	}
	return !f.from.record() || reset || !s.has(f.num, f.from.partition(), f.off)
}

// CutSome is Cut without the frames that the filter leaves out. The returned number may be past the
// last appended frame: the frames in between were left out.
func (r *Room) CutSome(at uint64, max int, filter *Filter, dst []Piece) (next uint64, pieces []Piece, lagged bool) {
	head := r.head.Load()
	if at >= head {
		return at, dst, false
	}
	w, z := r.window(), second{}
	if !w.has(at) {
		return at, dst, true
	}
	if filter.Coding != Plain {
		z = r.second(filter.Coding)
	}
	had, end, reset := len(dst), min(head, at+maxFiltered), filter.behindReset(at)
	for ; at < end; at++ {
		p, f := w.piece(at)
		if !filter.wants(at, f, p.Bytes, reset) {
			continue
		}
		if f.source == sourceReset {
			filter.reset, reset = at+1, true
		}
		p = z.piece(at, p)
		if max -= len(p.Bytes); max < 0 && len(dst) > had {
			break
		}
		if k := len(dst) - 1; k >= had && dst[k].join(&p) {
			continue
		}
		if len(dst) == had+maxPieces {
			break
		}
		dst = append(dst, p)
	}
	return at, dst, false
}
