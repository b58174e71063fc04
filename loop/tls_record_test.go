package loop

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

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
			if len(p) == 0 || len(p) > maxRecord {
				t.Fatalf("a record of %d bytes", len(p))
			}
			got = append(got, p...)
			for k := from + 1; k < len(got) && !edges[len(got)] && len(got) < len(all); k++ {
				if edges[k] {
					t.Fatalf("the record from %d to %d ends inside a frame, and has the end of another at %d", from, len(got), k)
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
		p := wire.AppendFrame(nil, wire.OpText, make([]byte, maxRecord-cut-4))
		if len(p) != maxRecord-cut {
			t.Fatalf("a frame of %d bytes", len(p))
		}
		p = wire.AppendFrame(p, wire.OpText, make([]byte, 70_000))
		iov := unix.Iovec{Base: &p[0]}
		iov.SetLen(len(p))
		at := plainCursor{iov: []unix.Iovec{iov}}
		if n := len(at.next(nil)); n != maxRecord-cut {
			t.Errorf("header cut after %d bytes: a record of %d", cut, n)
		}
		if n := len(at.next(nil)); n != maxRecord {
			t.Errorf("header cut after %d bytes: then a record of %d", cut, n)
		}
	}
}

// TestTrim: a change of crypto/tls that makes idle connections larger shows here.
func TestTrim(t *testing.T) {
	for i, at := range tlsBuffers {
		if at == 0 {
			t.Errorf("buffer %d of crypto/tls is not found: idle connections keep it", i)
		}
	}
}

// TestRestIsBounded: a client that has crypto/tls write and does not read is
// given up.
func TestRestIsBounded(t *testing.T) {
	s := newSecure(new(Conn))
	s.rest = make([]byte, maxRest-100)
	if n, err := s.Write(make([]byte, 100)); n != 100 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Write(make([]byte, 1)); err != errTooMuch {
		t.Errorf("over the bound: %v", err)
	}
}
