package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// reader takes apart what clients get. It belongs to one loop; all it costs
// for a data frame is its header, its number and one count in a histogram.
type reader struct {
	shape valueShape
	bare  bool   // values come without envelope
	back  int    // how far before a data frame's end its value begins, or its stamp
	head  uint32 // what stands there
	limit int    // the longest frame there can be
	check bool   // compare every byte of a value, and follow prev

	anywhere bool // a value may stand anywhere in what was published

	parse    func([]byte) (header, error)
	inflater *inflater // where permessage-deflate was agreed on

	plan    plan
	started bool
	out     []bool                  // by client: it has left its rooms, and was told so. nil: nobody does
	after   int64                   // what they were sent all the same
	walks   map[int]map[string]bool // by client: rooms whose last values it is being sent
	feeds   []feed
	tally   *tally // of the first feed
	chain   *chain
	latency *Hist // of the first feed, from due to read; where they are taken meanwhile, since then
	earlier *Hist // what was taken; nil: nothing
	arrival *Hist // from due to the kernel's receive time; nil: not taken
	stamp   int64 // the kernel's receive time of what is being read
	order   *arrivals

	frames, bytes int64 // data frames of the wanted rooms, and their bytes on the wire
	strays        int64 // in an envelope of another room than they were published to
	others        int64 // data frames of other rooms
	early         int64 // before they were due: the clocks disagree

	// frame takes a data frame apart, and gives what it holds to value or
	// notice. nil: a frame is one message with its value at the end.
	frame func(i int, p []byte, now int64, first bool) error
	// notice gets every JSON text that is not data, control every control
	// frame. An error fails the client.
	notice  func(i int, p []byte) error
	control func(i int, op byte, p []byte) error
}

// plan is what a client must know about a run to check and to time it.
type plan struct {
	Schedule Schedule `json:"schedule"`
	Anchor   int64    `json:"anchor"`         // ns since 1970 minus CLOCK_MONOTONIC
	Skew     int64    `json:"skew,omitempty"` // of the wall clock here, ahead of that which Anchor goes by
	Warm     int64    `json:"warm"`           // messages before this number are not timed
	Total    int64    `json:"total"`          // messages of the first feed. 0: not known
	From     int64    `json:"from"`           // the measured window, ns since 1970
	To       int64    `json:"to"`
	More     []course `json:"more,omitempty"` // of the further feeds
}

// course is when the messages of a further feed are due, and from which on they are timed.
type course struct {
	Schedule Schedule `json:"schedule"`
	Warm     int64    `json:"warm"`
	Total    int64    `json:"total"`
}

// feed is a run of messages with numbers of its own: those of feed k begin at k
// times feedSpan. It belongs to the reader.
type feed struct {
	course
	tally   *tally
	latency *Hist
	heads   [][]byte // by stream, where rooms are checked: how its envelopes begin
}

// feedSpan is how many messages one of several feeds may have; maxFeeds of them
// share the ten digits of a number.
const (
	feedSpan = 1_000_000_000
	maxFeeds = maxMessages / feedSpan
)

// maxEnvelope is what an envelope may add to a value; notices share the bound.
const maxEnvelope = 64 << 10

func newReader(shape valueShape, bare, check bool) *reader {
	r := &reader{shape: shape, bare: bare, check: check, back: shape.size() + 1, head: valueHead, latency: NewHist(), parse: parseHeader}
	if bare {
		r.back--
	}
	if shape.stamp {
		r.head = stampHead
	}
	r.limit = shape.size() + maxEnvelope
	return r
}

// inflates has the reader take deflated frames too.
func (r *reader) inflates() { r.parse, r.inflater = parseDeflated, newInflater() }

// start begins a run: from now on data is expected, timed and counted. There is a
// tally for each feed.
func (r *reader) start(p plan, tallies ...*tally) {
	r.plan, r.tally, r.started = p, tallies[0], true
	for k, t := range tallies {
		f := feed{course: course{p.Schedule, p.Warm, p.Total}, tally: t, latency: r.latency}
		if k > 0 {
			f.course, f.latency = p.More[k-1], NewHist()
		}
		f.Schedule.follow(t.deal.Round)
		f.Schedule.prepare()
		if r.check && !r.bare && r.frame == nil && len(t.deal.Rooms) > 0 {
			for s := range t.deal.Streams {
				f.heads = append(f.heads, []byte(`{"room":"`+t.deal.room(s)+`"`))
			}
		}
		r.feeds = append(r.feeds, f)
	}
	if r.check && !r.bare && r.frame == nil {
		r.chain = newChain()
	}
}

// takeLatency returns the latencies since it was asked last, of the first feed.
func (r *reader) takeLatency() *Hist {
	h := NewHist()
	h.Merge(r.latency)
	if r.earlier == nil {
		r.earlier = NewHist()
	}
	r.earlier.Merge(h)
	r.latency.Reset()
	return h
}

// allLatency returns a copy of those of the whole run.
func (r *reader) allLatency() *Hist {
	h := NewHist()
	h.Merge(r.latency)
	if r.earlier != nil {
		h.Merge(r.earlier)
	}
	return h
}

// returned is for client i, who was away and is there again: it need not get what was
// due before now (monotonic).
func (r *reader) returned(i int, now int64) {
	if !r.started {
		return
	}
	for k := range r.feeds {
		f := &r.feeds[k]
		due := f.Schedule.Before(now + r.plan.Anchor)
		if f.Total > 0 {
			due = min(due, f.Total)
		}
		f.tally.back(i, due)
	}
	if r.chain != nil {
		r.chain.forgetAll(i)
	}
}

var errTorn = errors.New("the frame's payload is no message that was sent")

// read takes all whole frames from the front of b, which client i has received
// by now (monotonic), and returns how many bytes they had.
func (r *reader) read(i int, b []byte, now int64) (used int, err error) {
	first := true
	for {
		rest := b[used:]
		h, err := r.parse(rest)
		if err != nil {
			return used, err
		}
		if h.size == 0 {
			return used, nil
		}
		if h.length > r.limit {
			return used, fmt.Errorf("a frame of %d bytes, where none is longer than %d (first bytes % x)", h.length, r.limit, head(rest))
		}
		end := h.size + h.length
		if end > len(rest) {
			return used, nil
		}
		p := rest[h.size:end]
		used += end
		if h.op >= opClose {
			err = r.control(i, h.op, p)
			if h.op == opClose {
				return len(b), err // nothing counts after it (RFC 6455, 5.5.1)
			}
		} else {
			had := r.frames
			if h.small {
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
				r.bytes += int64(end) // those on the wire
			}
			first = false
		}
		if err != nil {
			return used, err
		}
	}
}

// begins says whether a tapecast's data frame p looks like one whose value, or
// its stamp, begins at at.
func (r *reader) begins(p []byte, at int) bool {
	return r.started && at >= 0 && (r.bare == (at == 0) || r.shape.stamp) && binary.LittleEndian.Uint32(p[at:]) == r.head && p[len(p)-1] == '}'
}

// opens returns where the recorded value begins whose stamp begins at at in the
// frame p, or -1.
func (r *reader) opens(p []byte, at int) int {
	if r.bare {
		return 0
	}
	// A quote within a string is escaped, so this is the envelope's member.
	if k := bytes.Index(p[:at], dataMember); k >= 0 {
		return k + len(dataMember)
	}
	return -1
}

// isValue says whether p has room for a value at at, and looks like one there.
func (r *reader) isValue(p []byte, at int) bool {
	return at >= 0 && len(p)-at >= r.shape.size() && binary.LittleEndian.Uint32(p[at:]) == valueHead
}

// value takes the value that begins at at in the message p, or whose stamp does. The due time is
// read from the first of a buffer only, unless everything is checked: the others
// follow from their numbers.
func (r *reader) value(i int, p []byte, at int, now int64, first bool) error {
	v := p[at : at+r.shape.size()]
	n := parseNumber(v)
	if n < 0 || v[len(v)-1] != '}' {
		return r.torn(p)
	}
	f, whole := &r.feeds[0], n
	if len(r.feeds) > 1 {
		k := n / feedSpan
		if k >= int64(len(r.feeds)) {
			return r.torn(p)
		}
		f, n = &r.feeds[k], n%feedSpan
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
		if parseTime(v) != due {
			f.tally.foreign++ // from another run, or another publisher
			return nil
		}
		if r.check {
			if !r.shape.same(v, due, whole) {
				return r.torn(p)
			}
			if r.shape.stamp {
				from := r.opens(p, at)
				if from < 0 || !wholeStamped(p[from:], at-from) {
					return r.torn(p)
				}
				at = from
			}
		}
		if r.anywhere {
			at = max(0, r.opens(p, at))
		}
		if f.heads != nil {
			if s, _ := f.tally.deal.of(n); !bytes.HasPrefix(p, f.heads[s]) {
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
	late := now + r.plan.Anchor - due
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

// otherFrame takes a data frame that holds no value of this run where one
// would be: a notice, or a message of a room that nobody publishes to here.
func (r *reader) otherFrame(i int, p []byte) error {
	switch {
	case hasPrefix(p, `{"jsonrpc":`):
		return r.notice(i, p)
	case hasPrefix(p, `{"room":`) && p[len(p)-1] == '}':
		r.others++
		return nil
	case !r.started && len(p) > 0:
		r.others++ // a bare room's messages, or whatever else is going on before the run
		return nil
	}
	return r.torn(p)
}

func (r *reader) torn(p []byte) error {
	return fmt.Errorf("%w: %d bytes, %.60q … %.20q", errTorn, len(p), p[:min(len(p), 60)], p[max(0, len(p)-20):])
}

func hasPrefix(p []byte, s string) bool { return len(p) >= len(s) && string(p[:len(s)]) == s }
