package job

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Assignment says to which stream each message of a feed falls, which room a stream
// has, and which streams a client gets. Order is promised within a stream. All of
// it follows from numbers alone, so that publisher and clients agree without a
// word. Once prepared, any goroutine may read it.
type Assignment struct {
	Streams int64 `json:"streams"` // 0: 1

	// Each is how many streams a client gets: with 1, client i has the stream i
	// modulo Streams; with more, it has chosen them by their popularity. 0: all.
	Each int `json:"each,omitempty"`

	// Zipf has stream s get a share of the messages, and of the clients, that
	// goes with 1/(s+1)^Zipf. 0: all alike.
	Zipf float64 `json:"zipf,omitempty"`

	// Rooms are those of the streams, in turn; `{key}` stands for the stream's
	// record key, `{user}` for the user of the stream's number.
	Rooms []string `json:"rooms,omitempty"`
	First int      `json:"first,omitempty"` // number of the user of stream 0

	// Round has a recording say to which stream each message falls.
	Round *Round `json:"round,omitempty"`

	// with Zipf or Round: the stream of each message of a round, and which of that stream's it is
	slots, ranks []int32
	places       [][]int32 // by stream: its messages of a round
}

// Prepare computes what is not carried over a pipe.
func (d *Assignment) Prepare() {
	d.Streams = max(d.Streams, 1)
	d.slots, d.ranks, d.places = nil, nil, nil
	if d.Round != nil && d.Streams > 1 {
		d.places = make([][]int32, d.Streams)
		for k, s := range d.Round.Streams {
			d.slots, d.ranks = append(d.slots, s), append(d.ranks, int32(len(d.places[s])))
			d.places[s] = append(d.places[s], int32(k))
		}
		return
	}
	if d.Zipf == 0 || d.Streams == 1 {
		return
	}
	type slot struct {
		at           float64
		stream, rank int32
	}
	var round []slot
	for s := range d.Streams {
		n := max(1, math.Round(math.Pow(float64(d.Streams)/float64(s+1), d.Zipf)))
		for k := range int(n) { // a stream's messages lie evenly in the round
			round = append(round, slot{(float64(k) + 0.5) / n, int32(s), int32(k)})
		}
	}
	slices.SortStableFunc(round, func(a, b slot) int { return cmp.Compare(a.at, b.at) })
	d.places = make([][]int32, d.Streams)
	for k, s := range round {
		d.slots, d.ranks = append(d.slots, s.stream), append(d.ranks, s.rank)
		d.places[s.stream] = append(d.places[s.stream], int32(k))
	}
}

// Of returns the stream of message n, and which message of that stream it is.
func (d *Assignment) Of(n int64) (stream, nth int64) {
	if d.slots == nil {
		return n % d.Streams, n / d.Streams
	}
	round, at := n/int64(len(d.slots)), n%int64(len(d.slots))
	s := d.slots[at]
	return int64(s), round*int64(len(d.places[s])) + int64(d.ranks[at])
}

// Length returns how many of the messages below total fall to stream s.
func (d *Assignment) Length(total, s int64) int64 {
	if d.slots == nil {
		if total <= s {
			return 0
		}
		return (total-s-1)/d.Streams + 1
	}
	size := int64(len(d.slots))
	part, _ := slices.BinarySearch(d.places[s], int32(total%size))
	return total/size*int64(len(d.places[s])) + int64(part)
}

// PerClient returns how many streams a client has.
func (d *Assignment) PerClient() int {
	if d.Each == 0 {
		return int(d.Streams)
	}
	return d.Each
}

// StreamsOf appends the streams of client number i, in ascending order.
func (d *Assignment) StreamsOf(dst []int32, i int) []int32 {
	switch {
	case d.Each == 0:
		for s := range d.Streams {
			dst = append(dst, int32(s))
		}
	case d.Each == 1 && d.Zipf == 0:
		dst = append(dst, int32(int64(i)%d.Streams))
	default:
		from := len(dst)
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		for len(dst)-from < d.Each {
			s := int32(rnd.Int64N(d.Streams))
			if d.slots != nil { // a message of the round is as popular as its stream
				s = d.slots[rnd.IntN(len(d.slots))]
			}
			if !slices.Contains(dst[from:], s) {
				dst = append(dst, s)
			}
		}
		slices.Sort(dst[from:])
	}
	return dst
}

// Room returns the room of stream s, "" where a feed has none of its own.
func (d *Assignment) Room(s int64) string {
	if len(d.Rooms) == 0 {
		return ""
	}
	name := d.Rooms[s%int64(len(d.Rooms))]
	name = strings.ReplaceAll(name, "{key}", d.name(s))
	return strings.ReplaceAll(name, "{user}", UserName(d.First+int(s)))
}

// name is what a stream has in place of {key}.
func (d *Assignment) name(s int64) string {
	if d.Round != nil {
		return d.Round.Keys[s]
	}
	return KeyName(s)
}

// Key returns the record key of stream s.
func (d *Assignment) Key(s int64) string {
	if len(d.Rooms) == 0 || d.Round != nil {
		return d.name(s)
	}
	n := int64(len(d.Rooms))
	switch name := d.Rooms[s%n]; {
	case strings.Contains(name, "{user}"):
		return UserName(d.First + int(s))
	case strings.Contains(name, "{key}"):
		return KeyName(s)
	}
	return KeyName(s / n)
}

// KeyName is the record key of stream n.
func KeyName(n int64) string { return "k" + strconv.FormatInt(n, 10) }
