package loop

import "tapecast/rooms"

// recalled is the answer to one seat's Recall.
type recalled struct {
	j    *joining
	seat int
	past *rooms.Past
	err  error
}

// recall asks for what the tapes no longer hold of the rooms that are being
// joined; false: of none. The join goes on when the last of them is here, so
// that its reply can say whether it is.
func (l *Loop) recall(c *Conn, j *joining) bool {
	if j.pasts != nil {
		return false
	}
	for i := range j.join.Rooms {
		r := &j.join.Rooms[i]
		if r.Err != nil || r.Resume == nil || !r.Resume.Recall {
			continue
		}
		if j.pasts == nil {
			j.pasts = make([]*rooms.Past, len(j.join.Rooms))
		}
		if l.engine.cfg.Recall == nil {
			r.TooOld, r.Resume = &rooms.TooOldError{}, nil
			continue
		}
		j.waiting++
		l.engine.cfg.Recall(&rooms.Recall{
			Pattern: r.Pattern, Room: r.Name, Epoch: r.Since.Epoch, After: r.Resume.Have, UpTo: r.Resume.UpTo,
			Done: func(p *rooms.Past, err error) {
				l.post(event{kind: evRecalled, conn: c, arg: &recalled{j, i, p, err}})
			},
		})
	}
	return j.waiting > 0
}

// recalled takes what was read again.
func (l *Loop) recalled(c *Conn, a *recalled) {
	if a.j.pasts[a.seat] = a.past; a.err != nil {
		r := &a.j.join.Rooms[a.seat]
		r.TooOld, r.Resume = a.err, nil
	}
	if a.j.waiting--; a.j.waiting == 0 {
		l.joined(c, a.j)
	}
}

// gatherPast cuts what the seat lacks of what was read again.
func (l *Loop) gatherPast(k, left int, x *special) {
	s, had := &l.send, len(l.send.pieces)
	var next int
	next, s.pieces = x.past.Cut(x.pastAt, left, x.sift.Have, x.upTo, s.pieces)
	s.more = true
	if len(s.pieces) == had { // the end: now the tape
		x.past = nil
		return
	}
	s.runs = append(s.runs, run{seat: k, pieces: len(s.pieces) - had, next: uint64(next), past: true})
}
