package wsread

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// modelFeed reads whole frames with ws.ReadFrame, keeping every rule in the
// plainest way. It stops at the first frame that data does not hold all of,
// and gives the code of a fault before that.
func modelFeed(data []byte, maxMessage int, rec *record) (fault ws.StatusCode) {
	in, op, open := bytes.NewReader(data), ws.OpCode(0), []byte(nil)
	for {
		at := len(data) - in.Len()
		h, err := ws.ReadHeader(in)
		if err == ws.ErrHeaderLengthMSB {
			return judgeHead(data[at:], op, ws.StatusProtocolError)
		}
		if err != nil {
			return 0
		}
		if code := judgeHead(data[at:], op, 0); code != 0 {
			return code
		}
		size := len(data) - in.Len() - at
		if h.Length < 126 && size != 6 || h.Length < 65536 && size > 8 {
			return ws.StatusProtocolError
		}
		if !h.OpCode.IsControl() && h.Length > int64(maxMessage-len(open)) {
			return ws.StatusMessageTooBig
		}
		if h.Length > int64(in.Len()) {
			return 0
		}
		p := make([]byte, h.Length)
		_, _ = in.Read(p)
		ws.Cipher(p, h.Mask, 0)

		switch h.OpCode {
		case ws.OpPing:
			rec.Ping(p)
		case ws.OpPong:
			rec.Pong(p)
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(p)
			switch {
			case len(p) == 0:
				rec.Closed(1005, nil)
				return 0
			case len(p) == 1 || code < 1000 || code >= 1015 && code < 3000 || code > 4999 ||
				code >= 1004 && code <= 1006:
				return ws.StatusProtocolError
			case !utf8.ValidString(reason):
				return ws.StatusInvalidFramePayloadData
			}
			rec.Closed(code, []byte(reason))
			return 0
		default:
			if h.OpCode != ws.OpContinuation {
				op = h.OpCode
			}
			open = append(open, p...)
			if op == ws.OpText && (!viable(open) || h.Fin && !utf8.Valid(open)) {
				return ws.StatusInvalidFramePayloadData
			}
			if h.Fin {
				rec.Message(op, open)
				op, open = 0, nil
			}
		}
	}
}

// judgeHead is what the first two bytes of a frame say; otherwise what the rest did.
func judgeHead(b []byte, open ws.OpCode, otherwise ws.StatusCode) ws.StatusCode {
	op := b[0] & 0xF
	switch {
	case b[0]&0x70 != 0, b[1]&0x80 == 0, op > 2 && op < 8, op > 10:
		return ws.StatusProtocolError
	case op >= 8 && (b[0]&0x80 == 0 || b[1]&0x7F > 125):
		return ws.StatusProtocolError
	case op == 0 && open == 0, op > 0 && op < 8 && open != 0:
		return ws.StatusProtocolError
	}
	return otherwise
}

// FuzzReader: what a reader finds does not depend on how its input is cut, it
// agrees with the model, and it never holds much more than has arrived.
func FuzzReader(f *testing.F) {
	add := func(w *script, cuts ...byte) { f.Add(w.b, cuts, uint16(1000)) }
	add(frames().text("Hello").binary("\x00\xff").ping("p"), 1)
	add(frames().add(0x01, "κό").ping("1").add(0x00, "").add(0x80, "σμε").code(1000, "bye"), 3, 1, 200)
	add(frames().text(string(bytes.Repeat([]byte("abc"), 200))).code(4000, "κ"), 7, 130)
	add(frames().add(0x01, "\xf4").add(0x00, "\x90").add(0x80, "\x80"), 2)
	add(frames().raw(0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4, 5), 1)
	add(frames().raw(0x82, 0xFE, 3, 0xE8, 1, 2, 3, 4, 5), 1)
	add(frames().raw(0x88, 0x82, 0, 0, 0, 0, 3, 0xE8), 9)
	add(frames().raw(0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 5)
	f.Fuzz(func(t *testing.T, data, cuts []byte, maxMessage uint16) {
		limit := int(maxMessage)
		var one Reader
		var all record
		whole := feedAll(&one, data, limit, &all, func() int { return len(data) })

		var two Reader
		pieces := &record{}
		arrived, i := 0, 0
		cut := func() int {
			if p := two.part; p != nil && cap(p.data)+cap(p.ctl) > 2*arrived+64 {
				t.Fatalf("%d+%d bytes are held, %d have come", cap(p.data), cap(p.ctl), arrived)
			}
			n := 1
			if len(cuts) > 0 {
				n = max(1, int(cuts[i%len(cuts)]))
				i++
			}
			arrived += n
			return n
		}
		if got := feedAll(&two, data, limit, pieces, cut); !slices.Equal(got, whole) {
			t.Fatalf("in pieces: %q\nwhole: %q", got, whole)
		}
		if (one.part == nil) != (two.part == nil) || (one.part == ended) != (two.part == ended) {
			t.Fatalf("left in pieces: %+v\nwhole: %+v", two.part, one.part)
		}

		var want record
		fault := modelFeed(data, limit, &want)
		n := len(want.lines)
		if len(whole) < n || !slices.Equal(whole[:n], want.lines) {
			t.Fatalf("found %q\nmodel %q", whole, want.lines)
		}
		// In a frame that has not all come the reader may see a fault that the model can't.
		rest := whole[n:]
		if len(rest) > 1 || fault != 0 &&
			(len(rest) != 1 || rest[0][:len("fault 1002")] != fmt.Sprint("fault ", uint16(fault))) {
			t.Fatalf("found %q after what the model found, whose fault is %d", rest, fault)
		}
		if len(rest) == 1 && rest[0][:6] != "fault " {
			t.Fatalf("found %q, which the model did not", rest)
		}
		if all.found > len(data) {
			t.Fatalf("%d bytes delivered out of %d", all.found, len(data))
		}
	})
}
