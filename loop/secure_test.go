package loop

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"tapecast/loop/tlsconn"
	"tapecast/rooms/wire"
)

// TestRecordsEndWithFrames cuts frames of all sizes, behind the rest of one, in
// iovecs of any length: nothing is lost, and a record ends inside a frame only
// where that frame fills it.
func TestRecordsEndWithFrames(t *testing.T) {
	for round := range 200 {
		rest := rand.IntN(40_000) * (round % 2)
		all := make([]byte, rest)
		edges := map[int]bool{rest: true}
		for range 1 + rand.IntN(60) {
			all = wire.AppendFrame(all, wire.OpText, make([]byte, rand.IntN([]int{3, 130, 5000, 70_000}[rand.IntN(4)])))
			edges[len(all)] = true
		}
		for i := range rest {
			all[i] = 0xff // would be read as a huge frame
		}
		var s sender
		for b := all; len(b) > 0 && s.n < maxIov-1; {
			n := 1 + rand.IntN(min(len(b), 20_000))
			s.add(b[:n])
			b = b[n:]
		}
		all = all[:s.total]
		at := plainCursor{iov: s.iov[:s.n], edge: rest}
		var got []byte
		for len(got) < len(all) {
			from := len(got)
			p := at.next(nil)
			if len(p) == 0 || len(p) > tlsconn.MaxRecord {
				t.Fatalf("a record of %d bytes", len(p))
			}
			got = append(got, p...)
			for k := from + 1; k < len(got) && !edges[len(got)] && len(got) < len(all); k++ {
				if edges[k] {
					t.Fatalf("the record from %d to %d ends inside a frame, and has the end of another at "+
						"%d", from, len(got), k)
				}
			}
		}
		if !bytes.Equal(got, all) {
			t.Fatal("not the bytes that were gathered")
		}
	}
}

// TestCutHeader: a frame whose header is cut by the record's end begins the next one.
func TestCutHeader(t *testing.T) {
	for cut := 1; cut < 10; cut++ {
		p := wire.AppendFrame(nil, wire.OpText, make([]byte, tlsconn.MaxRecord-cut-4))
		if len(p) != tlsconn.MaxRecord-cut {
			t.Fatalf("a frame of %d bytes", len(p))
		}
		p = wire.AppendFrame(p, wire.OpText, make([]byte, 70_000))
		iov := unix.Iovec{Base: &p[0]}
		iov.SetLen(len(p))
		at := plainCursor{iov: []unix.Iovec{iov}}
		if n := len(at.next(nil)); n != tlsconn.MaxRecord-cut {
			t.Errorf("header cut after %d bytes: a record of %d", cut, n)
		}
		if n := len(at.next(nil)); n != tlsconn.MaxRecord {
			t.Errorf("header cut after %d bytes: then a record of %d", cut, n)
		}
	}
}
