package job

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Assignment maps each message of a feed to a stream, each stream to a room, and each
// client to its streams. Order is promised within a stream. All of it follows from
// numbers alone, so publisher and clients agree without exchanging messages. Any
// goroutine may read it after Prepare.
type Assignment struct {
	Streams int64 `json:"streams"` // 0: 1

	// Each is how many streams a client gets. With 1, client i has the stream i modulo
	// Streams. With more, a client chooses its streams by their popularity. 0: all.
	Each int `json:"each,omitempty"`

	// Zipf is the exponent of popularity: stream s gets a share of the messages, and of
	// the clients, that is proportional to 1/(s+1)^Zipf. 0: all streams are alike.
	Zipf float64 `json:"zipf,omitempty"`

	// Rooms are the rooms of the streams, in turn. `{key}` stands for the stream's
	// record key, `{user}` for the user with the stream's number.
	Rooms []string `json:"rooms,omitempty"`
	First int      `json:"first,omitempty"` // number of the user of stream 0

	// Round is a recording, if there is one: it tells the stream of each message.
	Round *Round `json:"round,omitempty"`

	// slots is the stream of each message of a round, ranks its number within that stream.
	// Both are set with Zipf or Round only.
	slots, ranks []int32
	indexes      [][]int32 // by stream: the indexes of its messages in a round
}

// Prepare computes what does not cross the pipe.
func (d *Assignment) Prepare() {
	d.Streams = max(d.Streams, 1)
	d.slots, d.ranks, d.indexes = nil, nil, nil
	switch {
	case d.Streams == 1:
	case d.Round != nil:
		d.slots = d.Round.Streams
	case d.Zipf != 0:
		d.slots = d.popular()
	}
	if d.slots != nil {
		d.indexes = make([][]int32, d.Streams)
	}
	for k, s := range d.slots {
		d.ranks = append(d.ranks, int32(len(d.indexes[s])))
		d.indexes[s] = append(d.indexes[s], int32(k))
	}
}

// popular returns a round of streams. Each has messages by its popularity, spread evenly.
func (d *Assignment) popular() (slots []int32) {
	type slot struct {
		at     float64
		stream int32
	}
	var round []slot
	for s := range d.Streams {
		n := max(1, math.Round(math.Pow(float64(d.Streams)/float64(s+1), d.Zipf)))
		for k := range int(n) {
			round = append(round, slot{(float64(k) + 0.5) / n, int32(s)})
		}
	}
	slices.SortStableFunc(round, func(a, b slot) int { return cmp.Compare(a.at, b.at) })
	for _, s := range round {
		slots = append(slots, s.stream)
	}
	return slots
}

// Of returns the stream of message n, and the number of the message within that stream.
func (d *Assignment) Of(n int64) (stream, nth int64) {
	if d.slots == nil {
		return n % d.Streams, n / d.Streams
	}
	round, at := n/int64(len(d.slots)), n%int64(len(d.slots))
	s := d.slots[at]
	return int64(s), round*int64(len(d.indexes[s])) + int64(d.ranks[at])
}

// Length returns how many of the first total messages belong to stream s.
func (d *Assignment) Length(total, s int64) int64 {
	if d.slots == nil {
		if total <= s {
			return 0
		}
		return (total-s-1)/d.Streams + 1
	}
	size := int64(len(d.slots))
	part, _ := slices.BinarySearch(d.indexes[s], int32(total%size))
	return total/size*int64(len(d.indexes[s])) + int64(part)
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
			if d.slots != nil { // a stream is drawn as often as it has messages in the round
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

// Room returns the room of stream s, "" where the feed names no rooms.
func (d *Assignment) Room(s int64) string {
	if len(d.Rooms) == 0 {
		return ""
	}
	name := d.Rooms[s%int64(len(d.Rooms))]
	name = strings.ReplaceAll(name, "{key}", d.name(s))
	return strings.ReplaceAll(name, "{user}", UserName(d.First+int(s)))
}

// name is the text that replaces {key} for stream s.
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
