package rooms

import (
	"fmt"
	"strings"
	"testing"

	"tapecast/rooms/wire"
)

// chunkOf returns a chunk with frames of records of a partition, from an offset on.
func chunkOf(part int32, off int64, texts ...string) *chunk {
	c := &chunk{first: 100, wall: 5000}
	for i, text := range texts {
		e := wire.Envelope{Room: "r", Type: "t", Partition: part, Offset: off + int64(i), Prev: -1}
		c.buf = append(c.buf, wire.TextFrame(append(append(e.Append(nil), text...), '}'))...)
		c.at = append(c.at, frameAt{end: uint32(len(c.buf)), source: source(part), off: off + int64(i)})
		c.times = append(c.times, int32(i))
	}
	return c
}

// TestEventPieces: events have the numbers and times of their frames, and where a send has stopped is
// found as in a tape, in several pieces of one visit.
func TestEventPieces(t *testing.T) {
	var e Events
	for range 3 { // the memory is used again
		a, b := chunkOf(0, 7, "1", strings.Repeat("2", 300), "3"), chunkOf(1, 50, "\n4\r\n")
		whole := Piece{Bytes: a.buf, first: 100, c: a, to: 3}
		part := e.Piece(Piece{Bytes: a.buf[a.start(1):], first: 101, c: a, from: 1, to: 3}, nil)
		all, own := e.Piece(whole, nil), e.Piece(Piece{Bytes: b.buf, first: 9, to: 1}, nil)
		if part.Frames() != 2 || part.First() != 101 || all.Frames() != 3 || own.Frames() != 1 || own.First() != 9 {
			t.Fatalf("%d frames from %d on, %d and %d", part.Frames(), part.First(), all.Frames(), own.Frames())
		}
		if all.Time(2) != 5002 || part.Time(0) != 5001 || own.Time(0) != 0 {
			t.Errorf("times %d, %d, %d", all.Time(2), part.Time(0), own.Time(0))
		}
		if all.Owned() || own.Owned() {
			t.Error("memory that is used again is taken for a frame's own")
		}
		text := string(all.Bytes)
		if !strings.HasSuffix(text, string(part.Bytes)) || strings.Count(text, "\n\n") != 3 {
			t.Errorf("pieces %q and %q", text, part.Bytes)
		}
		want := "data: {\"room\":\"r\",\"type\":\"t\",\"pos\":\"1:50\",\"ts\":0,\"data\":\ndata: 4\ndata: }\n\n"
		if string(own.Bytes) != want {
			t.Errorf("%q, want %q", own.Bytes, want)
		}
		for n := 1; n <= len(all.Bytes); n++ {
			begun := strings.Count(text[:n-1], "\n\n") // events that ended before byte n
			next, rest := all.Sent(n)
			end := n + len(rest)
			within := strings.Contains(string(rest[:max(0, len(rest)-2)]), "\n\n")
			if next != 101+uint64(begun) || !strings.HasSuffix(text[:end], "\n\n") || within {
				t.Fatalf("%d bytes: next %d, rest %q", n, next, rest)
			}
		}
		e.Reset()
	}
	big := chunkOf(0, 0, strings.Repeat("x", 2*maxEvents))
	e.Piece(Piece{Bytes: big.buf, first: 1, c: big, to: 1}, nil)
	if e.Reset(); cap(e.c.buf) > maxEvents {
		t.Errorf("%d bytes are kept after a large frame", cap(e.c.buf))
	}
}

// TestMarks: each event says where its reader is after it, for as long as that is known.
func TestMarks(t *testing.T) {
	var e Events
	shared := []Pos{{0, 6}, {1, 40}, {2, -1}}
	at := Positions{Epoch: "k3", Offsets: shared}
	ids := func(mark *Mark, pieces ...Piece) (out string) {
		for _, p := range pieces {
			events := e.Piece(p, mark)
			for line := range strings.SplitSeq(string(events.Bytes), "\n") {
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					out += id + " "
				}
			}
		}
		return out
	}
	a, b := chunkOf(0, 7, "1", "2"), chunkOf(1, 50, "3")
	pa, pb := Piece{Bytes: a.buf, c: a, to: 2}, Piece{Bytes: b.buf, to: 1}
	var m Mark
	m.Set(at)
	if got := ids(&m, pa, pb, pa); got != "k3/0:7,1:40,2:-1 k3/0:8,1:40,2:-1 k3/0:8,1:50,2:-1 "+
		"k3/0:8,1:50,2:-1 k3/0:8,1:50,2:-1 " {
		t.Errorf("ids %s", got)
	}
	if fmt.Sprint(shared) != "[{0 6} {1 40} {2 -1}]" {
		t.Errorf("shared positions were changed: %v", shared)
	}
	notice := Piece{Bytes: wire.TextFrame([]byte(`{"jsonrpc":"2.0","method":"reset","params":{}}`)), to: 1}
	if m.Set(at); ids(&m, pa, notice, pb) != "k3/0:7,1:40,2:-1 k3/0:8,1:40,2:-1 " {
		t.Error("ids after a notice, or none before it")
	}
	if m.Set(Positions{}); ids(&m, pa) != "" || ids(nil, pa) != "" {
		t.Error("ids without positions")
	}
	other := chunkOf(3, 0, "x")
	if m.Set(at); ids(&m, Piece{Bytes: other.buf, c: other, to: 1}, pa) != "" {
		t.Error("ids although a partition is not known")
	}
	m.Set(Positions{Epoch: "e", Offsets: make([]Pos, MaxMarked+1)})
	if ids(&m, pa) != "" {
		t.Error("ids of too many partitions")
	}
}

// TestParseMark: an id is read as it was written, and nothing else is.
func TestParseMark(t *testing.T) {
	for _, p := range []Positions{
		{Epoch: "k3", Offsets: []Pos{{0, 7}, {1, -1}, {12, 1 << 50}}}, {Epoch: "a/b", Offsets: []Pos{{5, 0}}},
	} {
		id := string(p.AppendMark(nil))
		if got, ok := ParseMark(id); !ok || string(got.AppendMark(nil)) != id {
			t.Errorf("%s is read as %v", id, got)
		}
	}
	if b := (Positions{}).AppendMark(nil); len(b) > 0 {
		t.Errorf("unknown positions have the id %q", b)
	}
	for _, id := range []string{"", "k3", "k3/", "/0:1", "k3/0", "k3/0:", "k3/0:-2", "k3/-1:0", "k3/0:1,", "k3/0:1,0:2",
		"k3/x:1", "k3/0:1x", "k3/0:1 ", "k3/" + strings.Repeat("0", maxMark) + ":1"} {
		if p, ok := ParseMark(id); ok {
			t.Errorf("%.30s is read as %v", id, p)
		}
	}
}
