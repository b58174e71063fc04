package rooms

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tapecast/rooms/wire"
)

// stamped is a payload that knows its number and would show any change.
func stamped(rnd *rand.Rand, num uint64) []byte {
	n := 12 + rnd.IntN(200)
	if rnd.IntN(50) == 0 {
		n = 12 + rnd.IntN(40<<10)
	}
	p := make([]byte, n)
	binary.BigEndian.PutUint64(p[4:], num)
	for i := 12; i < n; i++ {
		p[i] = byte(num) + byte(i)
	}
	binary.BigEndian.PutUint32(p, crc32.ChecksumIEEE(p[4:]))
	return p
}

// tapeRace is some rooms of one tape, what reads them and what was read.
type tapeRace struct {
	t     *testing.T
	rooms []*Room
	done  atomic.Bool // all is written

	looks      [quickReaders]atomic.Int64 // by reader
	lags, read atomic.Int64
}

const quickReaders = 3

// follow reads a room to its end. A slow reader holds what it cut until more was written.
func (x *tapeRace) follow(r *Room, i int) {
	rnd := rand.New(rand.NewPCG(3, uint64(i)))
	var pieces []Piece
	for at := uint64(0); ; {
		if i < quickReaders {
			x.looks[i].Add(1)
		}
		ended := x.done.Load()
		next, p, lagged := r.Cut(at, 1+rnd.IntN(128<<10), pieces[:0])
		if pieces = p; lagged {
			x.lags.Add(1)
			at = max(at, r.Tail())
			continue
		}
		if next == at && ended {
			return
		}
		if i >= quickReaders {
			for r.Head() < next+200 && !x.done.Load() {
				runtime.Gosched()
			}
		} else if next == at {
			runtime.Gosched()
		}
		for _, piece := range pieces {
			if !x.whole(piece, at) {
				return
			}
			at += uint64(piece.Frames())
		}
		x.read.Add(int64(len(pieces)))
		if at != next {
			x.t.Errorf("a cut that ends at %d has frames up to %d", next, at)
			return
		}
	}
}

// whole reports whether a piece has its frames, from the number at on, as they were written.
func (x *tapeRace) whole(piece Piece, at uint64) bool {
	n := 0
	for b := piece.Bytes; len(b) > 0; n++ {
		_, payload, rest := readFrame(x.t, b)
		num := binary.BigEndian.Uint64(payload[4:])
		if num != at || crc32.ChecksumIEEE(payload[4:]) != binary.BigEndian.Uint32(payload) {
			x.t.Errorf("frame %d was read as %d, torn or not", at, num)
			return false
		}
		b = rest
		at++
	}
	if n != piece.Frames() {
		x.t.Errorf("a piece of %d frames has %d", piece.Frames(), n)
		return false
	}
	return true
}

// allLook waits until each reader has begun to look again, and has ended that: but for the
// slow one, which waits for what is written next.
func (x *tapeRace) allLook() {
	for i := range x.looks {
		for n := x.looks[i].Load(); x.looks[i].Load() < n+2 && !x.t.Failed(); {
			runtime.Gosched()
		}
	}
}

// write writes to the rooms at random while retention drops.
func (x *tapeRace) write(k *Class) {
	rnd := rand.New(rand.NewPCG(3, 99))
	var nums [3]uint64
	for i := range 20_000 {
		for range 1 + rnd.IntN(3) {
			k := rnd.IntN(len(x.rooms))
			x.rooms[k].write(wire.OpBinary, nil, stamped(rnd, nums[k]), nil, 0, int64(i), 0, int64(i))
			nums[k]++
		}
		for _, r := range x.rooms {
			r.publish()
		}
		tape := x.rooms[0].tape
		if i%16 == 0 {
			if n := tape.expired(k.retainBytes(), 0); n > 0 {
				tape.drop(n)
			}
			for _, r := range x.rooms {
				if k.Private() {
					r.forgetRefs()
				}
			}
		}
		if i%5000 == 4999 {
			tape.drop(len(*tape.dir.Load())) // budget, all of it
			x.allLook()
		}
	}
}

// Readers on other goroutines see whole frames in their order, or that they
// have lagged, while the appender writes and retention drops.
func TestReadersAndRetention(t *testing.T) {
	for _, k := range []*Class{{RetainBytes: 64 << 10}, {Owner: "{sub}", RetainBytes: 64 << 10}} {
		t.Run(k.Owner, func(t *testing.T) {
			x := &tapeRace{t: t, rooms: []*Room{lone(k, nil)}}
			if k.Private() {
				j := newTape()
				x.rooms = []*Room{lone(k, j), lone(k, j), lone(k, j)}
			}
			var readers sync.WaitGroup
			for i := range quickReaders + 1 {
				readers.Go(func() { x.follow(x.rooms[i%len(x.rooms)], i) })
			}
			x.write(k)
			x.done.Store(true)
			readers.Wait()
			if x.lags.Load() == 0 || x.read.Load() == 0 {
				t.Errorf("%d lags, %d pieces: nothing was shown", x.lags.Load(), x.read.Load())
			}
			t.Logf("%d lags, %d pieces", x.lags.Load(), x.read.Load())
		})
	}
}
