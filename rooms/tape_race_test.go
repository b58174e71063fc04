package rooms

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapecast/rooms/testwait"
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

// Readers on other goroutines see whole frames in their order, or that they
// have lagged, while the appender writes and retention drops.
func TestReadersAndRetention(t *testing.T) {
	for _, k := range []*Class{{RetainBytes: 64 << 10}, {Owner: "{sub}", RetainBytes: 64 << 10}} {
		t.Run(k.Owner, func(t *testing.T) {
			var j *Tape
			if k.Private() {
				j = newTape()
			}
			rooms := []*Room{lone(k, j), lone(k, j), lone(k, j)}
			if !k.Private() {
				rooms = rooms[:1]
			}
			var wg sync.WaitGroup
			var done atomic.Bool
			var lags, read atomic.Int64
			for i := range 4 {
				wg.Go(func() {
					r := rooms[i%len(rooms)]
					rnd := rand.New(rand.NewPCG(3, uint64(i)))
					var pieces []Piece
					for at := uint64(0); ; {
						ended := done.Load()
						next, p, lagged := r.Cut(at, 1+rnd.IntN(128<<10), pieces[:0])
						if pieces = p; lagged {
							lags.Add(1)
							at = max(at, r.Tail())
							continue
						}
						if next == at && ended {
							return
						}
						if i == 3 {
							testwait.Pause(time.Millisecond) // a slow one, holding what it cut
						} else if next == at {
							runtime.Gosched()
						}
						for _, piece := range pieces {
							b, n := piece.Bytes, 0
							for ; len(b) > 0; n++ {
								_, payload, rest := readFrame(t, b)
								if num := binary.BigEndian.Uint64(payload[4:]); num != at || crc32.ChecksumIEEE(payload[4:]) != binary.BigEndian.Uint32(payload) {
									t.Errorf("frame %d was read as %d, torn or not", at, num)
									return
								}
								b = rest
								at++
							}
							if n != piece.Frames() {
								t.Errorf("a piece of %d frames has %d", piece.Frames(), n)
								return
							}
						}
						read.Add(int64(len(pieces)))
						if at != next {
							t.Errorf("a cut that ends at %d has frames up to %d", next, at)
							return
						}
					}
				})
			}
			rnd := rand.New(rand.NewPCG(3, 99))
			var nums [3]uint64
			for i := range 20_000 {
				for range 1 + rnd.IntN(3) {
					k := rnd.IntN(len(rooms))
					rooms[k].write(wire.OpBinary, nil, stamped(rnd, nums[k]), nil, 0, int64(i), 0, int64(i))
					nums[k]++
				}
				for _, r := range rooms {
					r.publish()
				}
				tape := rooms[0].tape
				if i%16 == 0 {
					if n := tape.expired(k.retainBytes(), 0); n > 0 {
						tape.drop(n)
					}
					for _, r := range rooms {
						if k.Private() {
							r.forgetRefs()
						}
					}
				}
				if i%5000 == 4999 {
					tape.drop(len(*tape.dir.Load())) // budget, all of it
					testwait.Pause(time.Millisecond) // for all to see it
				}
			}
			done.Store(true)
			wg.Wait()
			if lags.Load() == 0 || read.Load() == 0 {
				t.Errorf("%d lags, %d pieces: nothing was shown", lags.Load(), read.Load())
			}
		})
	}
}
