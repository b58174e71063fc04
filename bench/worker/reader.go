package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// reader takes apart what clients get. It belongs to one loop. A data frame costs it
// a header, a number and one count in a histogram.
type reader struct {
	shape job.ValueShape
	bare  bool   // values come without an envelope
	back  int    // how far before a data frame's end its value or its stamp begins
	head  uint32 // the four bytes there
	limit int    // the longest valid frame
	check bool   // compare every byte of a value, and follow prev

	anywhere bool // a value may stand anywhere in what was published

	parse    func([]byte) (proto.Header, error)
	inflater *inflater // where permessage-deflate was agreed on

	timing  job.Timing
	started bool
	out     []bool                  // by client: it has left its rooms, confirmed by the gateway. nil: no client leaves
	after   int64                   // messages to such clients
	walks   map[int]map[string]bool // by client: the rooms whose last values are being sent to it
	feeds   []feed
	tally   *tally // of the first feed
	chain   *chain
	latency *job.Hist // of the first feed, from due to read; with intervals, since the last one
	earlier pieces    // the intervals before that
	arrival *job.Hist // from due to the kernel's receive time; nil: not measured
	stamp   int64     // the kernel's receive time of the bytes being read
	order   *arrivals

	frames, bytes int64 // data frames of the rooms of the run, and their bytes on the wire
	strays        int64 // messages in an envelope of another room than they were published to
	others        int64 // data frames of other rooms
	early         int64 // messages that came before they were due: the clocks disagree

	// frame takes a data frame apart, and gives its contents to value or notice. nil: a
	// frame is one message with its value at the end.
	frame func(i int, p []byte, now int64, first bool) error
	// notice gets every JSON text that is not data, control every control frame. An error
	// ends the client.
	notice  func(i int, p []byte) error
	control func(i int, op byte, p []byte) error
}

// feed is a run of messages with its own numbers, from k times FeedSpan. It belongs to the reader.
type feed struct {
	job.FeedTiming
	tally   *tally
	latency *job.Hist
	heads   [][]byte // by stream, where rooms are checked: the start of its envelopes
}

func newReader(shape job.ValueShape, bare, check bool) *reader {
	r := &reader{shape: shape, bare: bare, check: check, back: shape.Size() + 1, head: job.ValueHead,
		latency: job.NewHist(), parse: proto.ParseHeader, walks: map[int]map[string]bool{}}
	if bare {
		r.back--
	}
	if shape.Stamp {
		r.head = job.StampHead
	}
	r.limit = shape.Size() + job.MaxEnvelope
	return r
}

// inflates makes the reader take deflated frames too.
func (r *reader) inflates() {
	r.parse, r.inflater = proto.ParseDeflated, &inflater{seed: maphash.MakeSeed(), known: map[uint64]inflated{}}
}

// start begins a run: data is expected, timed and counted. There is one tally for each feed.
func (r *reader) start(p job.Timing, tallies ...*tally) {
	r.timing, r.tally, r.started = p, tallies[0], true
	for k, t := range tallies {
		f := feed{FeedTiming: p.FeedTiming, tally: t, latency: r.latency}
		if k > 0 {
			f.FeedTiming, f.latency = p.More[k-1], job.NewHist()
		}
		f.Schedule.Follow(t.assignment.Round)
		f.Schedule.Prepare()
		if r.check && !r.bare && r.frame == nil && len(t.assignment.Rooms) > 0 {
			for s := range t.assignment.Streams {
				f.heads = append(f.heads, []byte(`{"room":"`+t.assignment.Room(s)+`"`))
			}
		}
		r.feeds = append(r.feeds, f)
	}
	if r.check && !r.bare && r.frame == nil {
		r.chain = newChain()
	}
}

// returned handles client i coming back at now (monotonic). Messages due before are not owed.
func (r *reader) returned(i int, now int64) {
	if !r.started {
		return
	}
	for k := range r.feeds {
		f := &r.feeds[k]
		due := f.Schedule.Before(now + r.timing.Anchor)
		if f.Total > 0 {
			due = min(due, f.Total)
		}
		f.tally.back(i, due)
	}
	if r.chain != nil {
		r.chain.forgetAll(i)
	}
}

var errTorn = errors.New("the frame's payload is not a message that was sent")

// read takes all whole frames from the front of b, which client i has received by now
// (monotonic). It returns how many bytes they had.
func (r *reader) read(i int, b []byte, now int64) (used int, err error) {
	first := true
	for {
		rest := b[used:]
		h, err := r.parse(rest)
		if err != nil {
			return used, err
		}
		if h.Size == 0 {
			return used, nil
		}
		if h.Length > r.limit {
			return used, fmt.Errorf("a frame of %d bytes, more than the limit of %d (first bytes % x)", h.Length,
				r.limit, proto.Head(rest))
		}
		end := h.Size + h.Length
		if end > len(rest) {
			return used, nil
		}
		p := rest[h.Size:end]
		used += end
		if h.Op >= proto.OpClose {
			err = r.control(i, h.Op, p)
			if h.Op == proto.OpClose {
				return len(b), err // nothing counts after a close frame (RFC 6455, 5.5.1)
			}
		} else {
			had := r.frames
			if h.Small {
				p, err = r.inflater.inflate(p)
			}
			if err != nil {
				return used, err
			}
			if r.frame != nil {
				err = r.frame(i, p, now, first)
			} else if r.anywhere {
				err = r.search(i, p, now, first)
			} else if at := len(p) - r.back; r.begins(p, at) {
				err = r.value(i, p, at, now, first)
			} else {
				err = r.otherFrame(i, p)
			}
			if r.frames > had {
				r.bytes += int64(end) // deflated ones count as on the wire
			}
			first = false
		}
		if err != nil {
			return used, err
		}
	}
}

// begins reports whether a value, or the stamp of one, seems to begin at p[at] of the frame p.
func (r *reader) begins(p []byte, at int) bool {
	return r.started && at >= 0 && (r.bare == (at == 0) || r.shape.Stamp) &&
		binary.LittleEndian.Uint32(p[at:]) == r.head && p[len(p)-1] == '}'
}

// opens returns where the recorded value with its stamp at p[at] begins in the frame p, or -1.
func (r *reader) opens(p []byte, at int) int {
	if r.bare {
		return 0
	}
	// A quote within a string is escaped, so this is a member of the envelope.
	if k := bytes.Index(p[:at], dataMember); k >= 0 {
		return k + len(dataMember)
	}
	return -1
}

// isValue reports whether p[at] has room for a value, and looks like the start of one.
func (r *reader) isValue(p []byte, at int) bool {
	return at >= 0 && len(p)-at >= r.shape.Size() && binary.LittleEndian.Uint32(p[at:]) == job.ValueHead
}

// value takes the value of the message p. The value, or its stamp, begins at p[at]. The
// due time is read only from the first value of a buffer, unless everything is checked. The
// due times of the others follow from their numbers.
func (r *reader) value(i int, p []byte, at int, now int64, first bool) error {
	v := p[at : at+r.shape.Size()]
	n := job.ParseNumber(v)
	if n < 0 || v[len(v)-1] != '}' {
		return r.torn(p)
	}
	f, whole := &r.feeds[0], n
	if len(r.feeds) > 1 {
		k := n / job.FeedSpan
		if k >= int64(len(r.feeds)) {
			return r.torn(p)
		}
		f, n = &r.feeds[k], n%job.FeedSpan
	}
	if r.out != nil && r.out[i] {
		r.after++
		return nil
	}
	if len(r.walks) > 0 && r.isWalked(i, p) {
		return nil
	}
	due := f.Schedule.Due(n)
	if first || r.check {
		if job.ParseTime(v) != due {
			f.tally.foreign++ // from another run, or another publisher
			return nil
		}
		if r.check {
			if at = r.checked(p, v, at, due, whole); at < 0 {
				return r.torn(p)
			}
		}
		if r.anywhere {
			at = max(0, r.opens(p, at))
		}
		if f.heads != nil {
			if s, _ := f.tally.assignment.Of(n); !bytes.HasPrefix(p, f.heads[s]) {
				r.strays++
				return nil
			}
		}
		if r.chain != nil {
			if err := r.chain.follow(i, p[:at]); err != nil {
				return err
			}
		}
	}
	r.frames++
	f.tally.got(i, n)
	if r.order != nil {
		r.order.put(i, n, r.stamp)
	}
	if n < f.Warm {
		return nil
	}
	late := now + r.timing.Anchor - due
	if late < 0 {
		r.early++
		late = 0
	}
	f.latency.Record(late)
	if r.arrival != nil && r.stamp != 0 {
		r.arrival.Record(max(0, r.stamp-due))
	}
	return nil
}

// checked compares every byte of the value v of the message p. It returns where the
// value begins, or -1 if it is not the one that was sent.
func (r *reader) checked(p, v []byte, at int, due, n int64) int {
	if !r.shape.Same(v, due, n) {
		return -1
	}
	if r.shape.Stamp {
		from := r.opens(p, at)
		if from < 0 || !job.WholeStamped(p[from:], at-from) {
			return -1
		}
		return from
	}
	return at
}

// otherFrame takes a data frame without a value of this run at its end: a notice, or a
// message of a room that the bench does not publish to.
func (r *reader) otherFrame(i int, p []byte) error {
	switch {
	case hasPrefix(p, `{"jsonrpc":`):
		return r.notice(i, p)
	case hasPrefix(p, `{"room":`) && p[len(p)-1] == '}':
		r.others++
		if r.chain != nil {
			return r.chain.other(i, p)
		}
		return nil
	case !r.started && len(p) > 0:
		r.others++ // messages of a bare room, or other traffic before the run
		return nil
	}
	return r.torn(p)
}

func (r *reader) torn(p []byte) error {
	return fmt.Errorf("%w: %d bytes, %.60q … %.20q", errTorn, len(p), p[:min(len(p), 60)], p[max(0, len(p)-20):])
}

func hasPrefix(p []byte, s string) bool { return len(p) >= len(s) && string(p[:len(s)]) == s }
