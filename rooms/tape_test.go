package rooms

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tapecast/rooms/wire"
)

// lone is a room without a table, for tests of tapes; private ones share the
// journal j.
func lone(k *Class, j *Tape) *Room {
	r := &Room{name: "lone", pattern: &Pattern{Match: "lone", Class: k}, tape: j}
	if j == nil {
		r.tape = newTape()
	}
	return r
}

// randomSize is 1 byte … 300 KB, mostly small.
func randomSize(rnd *rand.Rand) int {
	switch rnd.IntN(20) {
	case 0:
		return 1 + rnd.IntN(300<<10)
	case 1, 2:
		return 1 + rnd.IntN(ownChunk+10)
	default:
		return 1 + rnd.IntN(300)
	}
}

// reel is all that a room was ever sent, in one run.
type reel struct {
	bytes []byte
	start []int // of each frame; the last: where the next one begins
}

func (m *reel) write(r *Room, rnd *rand.Rand, now int64) {
	payload := make([]byte, randomSize(rnd)-1)
	for i := range payload {
		payload[i] = byte(len(m.start) + i)
	}
	a, b := rnd.IntN(len(payload)+1), rnd.IntN(len(payload)+1)
	a, b = min(a, b), max(a, b)
	r.write(wire.OpBinary, payload[:a], payload[a:b], payload[b:], 0, int64(len(m.start)), 0, now)
	m.bytes = wire.AppendFrame(m.bytes, wire.OpBinary, payload)
	m.start = append(m.start, len(m.bytes))
}

// member reads a room as an event loop does.
type member struct {
	at   uint64
	rest []byte // of a frame that is half sent
	got  int    // place in the reel
}

// visit sends the member something, but only as much as the kernel would take.
func (v *member) visit(t *testing.T, r *Room, m *reel, rnd *rand.Rand) {
	t.Helper()
	max := 1 + rnd.IntN(200<<10)
	next, pieces, lagged := r.Cut(v.at, max, nil)
	if lagged {
		if len(pieces) != 0 || next != v.at {
			t.Fatal("a cut that lagged gave something")
		}
		if len(v.rest) > 0 {
			v.take(t, m, v.rest) // what was copied to the member goes first
			v.rest = nil
		}
		tail := r.Tail()
		if tail <= v.at {
			t.Fatalf("%d lagged, but the tail is %d", v.at, tail)
		}
		v.at, v.got = tail, m.start[tail]
		return
	}
	total := v.measures(t, r, m, max, next, pieces)
	if len(pieces) > 0 {
		v.reaches(t, m, pieces[0], rnd.IntN(len(pieces[0].Bytes)+1))
	}
	n := rnd.IntN(len(v.rest) + total + 1)
	if rnd.IntN(2) == 0 {
		n = len(v.rest) + total
	}
	k := min(n, len(v.rest))
	v.take(t, m, v.rest[:k])
	v.rest = v.rest[k:]
	for n -= k; n > 0; {
		p := pieces[0]
		pieces = pieces[1:]
		k := min(n, len(p.Bytes))
		next, rest := p.Sent(k)
		v.take(t, m, p.Bytes[:k])
		v.at, n = next, n-k
		if len(rest) > 0 {
			if n != 0 {
				t.Fatal("a piece that is only half sent is not the last")
			}
			v.rest = rest
			if !p.Owned() {
				v.rest = bytes.Clone(rest)
			}
		}
	}
	if want := v.got + len(v.rest); m.start[v.at] != want {
		t.Fatalf("frame %d begins at %d, the member is at %d with %d left", v.at, m.start[v.at], v.got, len(v.rest))
	}
}

// measures compares the pieces of a cut of at most max bytes with its end, and returns their bytes.
func (v *member) measures(t *testing.T, r *Room, m *reel, max int, next uint64, pieces []Piece) (total int) {
	t.Helper()
	frames := uint64(0)
	for i, p := range pieces {
		if total >= max {
			t.Fatalf("piece %d comes after %d bytes of at most %d", i, total, max)
		}
		if len(p.Bytes) > max-total && p.Frames() > 1 {
			t.Fatalf("%d frames of %d bytes come after %d bytes of at most %d", p.Frames(), len(p.Bytes), total, max)
		}
		total += len(p.Bytes)
		frames += uint64(p.Frames())
	}
	if next != v.at+frames || next < r.Head() && total < max && !r.private() && m.start[next+1]-m.start[v.at] <= max {
		t.Fatalf("a cut of at most %d bytes from %d to %d, of %d, has %d frames, %d bytes", max, v.at, next,
			r.Head(), frames, total)
	}
	return total
}

// reaches: a piece reaches as far as its first n bytes say.
func (v *member) reaches(t *testing.T, m *reel, p Piece, n int) {
	t.Helper()
	next, rest := p.Sent(n)
	frames := int(next - v.at)
	start := m.start[v.at]
	if n == 0 && frames+len(rest) != 0 || m.start[v.at+uint64(frames)] != start+n+len(rest) {
		t.Fatalf("%d bytes of a piece that begins at %d reach frame %d with %d left", n, start,
			v.at+uint64(frames), len(rest))
	}
	if frames > 0 && m.start[v.at+uint64(frames)-1] >= start+n {
		t.Fatalf("%d bytes of a piece that begins at %d do not begin frame %d", n, start, v.at+uint64(frames)-1)
	}
}

func (v *member) take(t *testing.T, m *reel, b []byte) {
	t.Helper()
	if !bytes.Equal(m.bytes[v.got:v.got+len(b)], b) {
		t.Fatalf("the %d bytes from %d on are wrong", len(b), v.got)
	}
	v.got += len(b)
}

func TestTapeModel(t *testing.T) {
	for seed := range uint64(6) {
		for _, k := range []*Class{{}, {RetainBytes: 100 << 10}, {RetainBytes: 1}, {Owner: "{sub}"}} {
			t.Run(fmt.Sprintf("%d/%d%s", seed, k.RetainBytes, k.Owner), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				var j *Tape
				if k.Private() {
					j = newTape()
				}
				// Of a journal's rooms the others only make holes between the frames of the first.
				rooms, reels := []*Room{lone(k, j)}, []*reel{{start: []int{0}}}
				if k.Private() {
					rooms, reels = append(rooms, lone(k, j), lone(k, j)),
						append(reels, &reel{start: []int{0}}, &reel{start: []int{0}})
				}
				r, m := rooms[0], reels[0]
				members := make([]member, 4)
				now := int64(0)
				for range 600 {
					now += rnd.Int64N(100)
					switch n := rnd.IntN(20); {
					case n == 0:
						if k := len(*r.tape.dir.Load()); k > 0 {
							r.tape.drop(rnd.IntN(k + 1))
						}
					case n < 9:
						for i := range 1 + rnd.IntN(5) {
							i %= len(rooms)
							reels[i].write(rooms[i], rnd, now)
							if rnd.IntN(2) == 0 {
								rooms[i].publish()
							}
						}
						for _, r := range rooms {
							r.publish()
						}
					default:
						members[rnd.IntN(len(members))].visit(t, r, m, rnd)
					}
				}
				for i := range members {
					for members[i].at < r.Head() || len(members[i].rest) > 0 {
						members[i].visit(t, r, m, rnd)
					}
					if members[i].got != len(m.bytes) {
						t.Fatalf("member %d has got to %d of %d", i, members[i].got, len(m.bytes))
					}
				}
				var cost int64
				for _, c := range *r.tape.dir.Load() {
					cost += c.cost()
					if owned := len(c.at) == 1; len(c.buf) > ownChunk != owned && !owned && len(c.buf) > maxChunk {
						t.Errorf("a chunk of %d bytes for %d frames", len(c.buf), len(c.at))
					}
				}
				if cost != r.tape.cost {
					t.Errorf("the tape costs %d, its chunks %d", r.tape.cost, cost)
				}
			})
		}
	}
}

func TestLargeFramesAreAlone(t *testing.T) {
	r := lone(&Class{}, nil)
	f := func(n int, alone bool) {
		t.Helper()
		at := r.Head()
		r.write(wire.OpText, make([]byte, n-wire.HeaderSize(n)), nil, nil, 0, 0, 0, 0)
		r.publish()
		_, pieces, _ := r.Cut(at, 1, nil)
		if len(pieces) != 1 || len(pieces[0].Bytes) != n || pieces[0].Owned() != alone {
			t.Errorf("a frame of %d bytes: %d pieces, owned %v", n, len(pieces), pieces[0].Owned())
		}
	}
	for range 2000 {
		f(100, false)
	}
	f(ownChunk, false)
	f(ownChunk+1, true)
	f(100, false)
	f(maxChunk+1, true)
	f(maxChunk, true)
}

// A chunk is to hold about a quarter of what retention keeps, in bytes and in time.
func TestChunkSizes(t *testing.T) {
	f := func(k *Class, rate, size int, large int, want int) {
		t.Helper()
		r := lone(k, nil)
		small, big := make([]byte, size), make([]byte, large)
		for i := range min(60*rate, 3000) { // a minute, or some seconds where there are many
			now := int64(i) * 1000 / int64(rate)
			r.write(wire.OpText, small, nil, nil, 0, 0, 0, now)
			if large > 0 {
				r.write(wire.OpText, big, nil, nil, 0, 0, 0, now)
			}
		}
		dir, most := *r.tape.dir.Load(), 0
		for _, c := range dir {
			if len(c.at) > 1 {
				most = max(most, len(c.buf))
			}
		}
		if most != want {
			t.Errorf("%d frames of %d bytes a second: the largest chunk has %d, not %d", rate, size, most, want)
		}
	}
	f(&Class{}, 1, 20, 0, minChunk)
	f(&Class{}, 10, 200, 0, 8<<10) // 2 KB a second, 2.5 s
	f(&Class{RetainAge: time.Minute}, 10, 200, 0, 32<<10)
	f(&Class{}, 1000, 500, 0, maxChunk)
	f(&Class{RetainBytes: 64 << 10}, 1000, 500, 0, 16<<10)
	f(&Class{RetainBytes: 1}, 1000, 500, 0, minChunk)
	f(&Class{}, 1000, 100, 20<<10, minChunk) // each chunk ends after one frame
	f(&Class{}, 1000, 5<<10, 0, maxChunk)    // larger than the first chunks, but not large
}
