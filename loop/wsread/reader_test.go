package wsread

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

const testMax = 64 << 10

// record notes what a reader finds, one event a line.
type record struct {
	lines []string
	found int // bytes of payload seen
	may   Limits
	hook  func(line string) // called after each event; may be nil
}

func (r *record) add(n int, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	r.lines = append(r.lines, line)
	r.found += n
	if r.hook != nil {
		r.hook(line)
	}
}

func (r *record) Message(op ws.OpCode, p []byte) {
	r.add(len(p), "%s %s", map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary"}[op], short(p))
}
func (r *record) Limits() Limits    { return r.may }
func (r *record) Admit() bool       { return true }
func (r *record) Fragment(int)      {}
func (r *record) Inflated(_, _ int) {}
func (r *record) Ping(p []byte)     { r.add(len(p), "ping %s", short(p)) }
func (r *record) Pong(p []byte)     { r.add(len(p), "pong %s", short(p)) }
func (r *record) Closed(code ws.StatusCode, p []byte) {
	r.add(len(p), "closed %d %s", code, short(p))
}

// short shows long payloads by their length and ends.
func short(p []byte) string {
	if len(p) > 200 {
		return fmt.Sprintf("%d:%q..%q", len(p), p[:4], p[len(p)-4:])
	}
	return fmt.Sprintf("%q", p)
}

// feedAll feeds data in pieces of the lengths that cut gives, and adds the fault.
func feedAll(r *Reader, data []byte, maxMessage int, rec *record, cut func() int) []string {
	return feedWithin(r, data, Limits{Message: maxMessage}, rec, cut)
}

func feedWithin(r *Reader, data []byte, lim Limits, rec *record, cut func() int) []string {
	data, rec.may = slices.Clone(data), lim
	for len(data) > 0 {
		n := min(max(cut(), 1), len(data))
		if code, reason := r.Feed(data[:n:n], rec); code != 0 {
			rec.add(0, "fault %d %s", code, reason)
		}
		data = data[n:]
	}
	return rec.lines
}

// script builds client frames, masked, each with a mask of its own.
type script struct {
	b    []byte
	seed byte
}

// add appends a frame whose first byte is the opcode, FIN and RSV bits as given.
func (w *script) add(first byte, payload string) *script {
	w.seed += 0x35
	f := ws.Frame{Header: ws.Header{
		Fin: first&0x80 != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 0xF), Length: int64(len(payload)),
	}, Payload: []byte(payload)}
	b, err := ws.CompileFrame(ws.MaskFrameWith(f, [4]byte{w.seed, w.seed ^ 0xA5, w.seed + 7, ^w.seed}))
	if err != nil {
		panic(err)
	}
	w.b = append(w.b, b...)
	return w
}

func (w *script) text(s string) *script   { return w.add(0x81, s) }
func (w *script) binary(s string) *script { return w.add(0x82, s) }
func (w *script) ping(s string) *script   { return w.add(0x89, s) }
func (w *script) raw(b ...byte) *script   { w.b = append(w.b, b...); return w }

// code is a close frame.
func (w *script) code(code int, reason string) *script {
	return w.add(0x88, string([]byte{byte(code >> 8), byte(code)})+reason)
}

func frames() *script { return &script{} }

// finds checks what a reader finds in w, however it is cut.
func finds(t *testing.T, w *script, want ...string) {
	t.Helper()
	findsWithin(t, testMax, w, want...)
}

func findsWithin(t *testing.T, maxMessage int, w *script, want ...string) {
	t.Helper()
	check := func(how string, cut func() int) {
		t.Helper()
		var r Reader
		if got := feedAll(&r, w.b, maxMessage, &record{}, cut); !slices.Equal(got, want) {
			t.Fatalf("%s: found\n  %s\nwant\n  %s", how, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	check("whole", func() int { return len(w.b) })
	step := max(1, len(w.b)/997)
	check("in small pieces", func() int { return step })
	for at := 1; at < len(w.b); at += step {
		first := true
		check(fmt.Sprintf("cut at %d", at), func() int {
			if first {
				first = false
				return at
			}
			return len(w.b)
		})
	}
}

// Section 1: messages of one frame, at every length where the header changes.
func TestReaderFraming(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 124, 125, 126, 127, 128, 65535, 65536} {
		s := strings.Repeat("*", n)
		finds(t, frames().text(s), "text "+short([]byte(s)))
		s = strings.Repeat("\xFE", n)
		finds(t, frames().binary(s), "binary "+short([]byte(s)))
	}
	finds(t, frames().text("a").text("").binary("b").text("c"), `text "a"`, `text ""`, `binary "b"`, `text "c"`)
}

// Section 2: pings and pongs.
func TestReaderPings(t *testing.T) {
	finds(t, frames().ping(""), `ping ""`)
	finds(t, frames().ping("Hello, world!"), `ping "Hello, world!"`)
	finds(t, frames().ping("\x00\xFF\xFE\xFD"), `ping "\x00\xff\xfe\xfd"`)
	long := strings.Repeat("\xFE", 125)
	finds(t, frames().ping(long), "ping "+short([]byte(long)))
	finds(t, frames().ping(long+"\xFE"), "fault 1002 control frame payload limit exceeded")
	finds(t, frames().add(0x8A, ""), `pong ""`)
	finds(t, frames().add(0x8A, "unasked").ping("x"), `pong "unasked"`, `ping "x"`)
	w, want := frames(), []string(nil)
	for i := range 10 {
		w.ping(fmt.Sprint("n", i))
		want = append(want, fmt.Sprintf("ping %q", fmt.Sprint("n", i)))
	}
	finds(t, w, want...)
}

// Section 3: reserved bits, in the first frame and after others.
func TestReaderReservedBits(t *testing.T) {
	const fault = "fault 1002 non-zero rsv bits with no extension negotiated"
	for rsv := byte(1); rsv <= 7; rsv++ {
		finds(t, frames().add(0x81|rsv<<4, "Hello"), fault)
		finds(t, frames().text("Hello").add(0x82|rsv<<4, "Hello").ping(""), `text "Hello"`, fault)
		finds(t, frames().add(0x89|rsv<<4, ""), fault)
		finds(t, frames().add(0x88|rsv<<4, ""), fault)
		finds(t, frames().add(0x01, "a").add(0x80|rsv<<4, "b"), fault)
	}
}

// Section 4: reserved opcodes, alone, after a message, and with FIN clear.
func TestReaderReservedOpcodes(t *testing.T) {
	const fault = "fault 1002 use of reserved op code"
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		finds(t, frames().add(0x80|op, ""), fault)
		finds(t, frames().add(op, ""), fault)
		finds(t, frames().add(0x80|op, "reserved opcode payload"), fault)
		finds(t, frames().text("Hello").add(0x80|op, "x").ping(""), `text "Hello"`, fault)
	}
}

// What a header may not say beside that.
func TestReaderHeader(t *testing.T) {
	f := func(want string, b ...byte) {
		t.Helper()
		finds(t, frames().text("a").raw(b...), `text "a"`, want)
	}
	const unmasked = "fault 1002 frames from client to server must be masked"
	const notMinimal = "fault 1002 " + reasonMinimal
	f(unmasked, 0x81, 0x00)
	f(unmasked, 0x81, 0x01, 'x')
	f(unmasked, 0x89, 0x00)
	f(unmasked, 0x88, 0x00)
	f("fault 1002 control frame is not final", 0x09, 0x80)
	f("fault 1002 control frame is not final", 0x0A, 0x80)
	f("fault 1002 control frame is not final", 0x08, 0x80)
	f("fault 1002 control frame payload limit exceeded", 0x89, 0xFE)
	f("fault 1002 control frame payload limit exceeded", 0x89, 0xFF)
	f(notMinimal, 0x82, 0xFE, 0, 0)
	f(notMinimal, 0x82, 0xFE, 0, 125)
	f(notMinimal, 0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0)
	f(notMinimal, 0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF)
	f("fault 1002 payload length with its highest bit set", 0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0)
	f("fault 1002 payload length with its highest bit set", 0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
	f("fault 1009 "+reasonTooBig, 0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
	f("fault 1002 unexpected continuation data frame", 0x80, 0x80)
}

// Section 9: the limit on messages holds for the sum of their fragments, and
// counts what a header announces.
func TestReaderLimit(t *testing.T) {
	f := func(w *script, want ...string) {
		t.Helper()
		findsWithin(t, 300, w, want...)
	}
	long := strings.Repeat("x", 300)
	f(frames().text(long).binary(long), "text "+short([]byte(long)), "binary "+short([]byte(long)))
	f(frames().text("a").raw(0x82, 0xFE, 1, 45), `text "a"`, "fault 1009 message too big")
	f(frames().raw(0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0), "fault 1009 message too big")
	f(frames().add(0x02, long).add(0x80, ""), "binary "+short([]byte(long)))
	f(frames().add(0x02, long).raw(0x80, 0x81), "fault 1009 message too big")
	f(frames().add(0x02, long[:299]).add(0x00, "y").ping("p").add(0x00, "").add(0x80, ""),
		`ping "p"`, "binary "+short([]byte(long[:299]+"y")))
	f(frames().add(0x01, long[:200]).raw(0x00, 0x80|101), "fault 1009 message too big")
	findsWithin(t, 0, frames().text("").ping("p").raw(0x81, 0x81), `text ""`, `ping "p"`, "fault 1009 message too big")
}

// A reader holds nothing between messages, and never much more than arrived.
func TestReaderMemory(t *testing.T) {
	var r Reader
	rec := record{may: Limits{Message: 1 << 20}}
	feed := func(b []byte) {
		t.Helper()
		if code, reason := r.Feed(slices.Clone(b), &rec); code != 0 {
			t.Fatalf("fault %d %s", code, reason)
		}
	}
	feed(frames().text("a").ping("b").binary("c").b)
	if r.part != nil {
		t.Fatalf("whole frames left %+v", r.part)
	}

	feed([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 0x0F, 0xFF, 0xFF, 1, 2, 3, 4, 5})
	if got := cap(r.part.data); got > 64 {
		t.Fatalf("one byte of an announced megabyte holds %d bytes", got)
	}
	for range 1<<20 - 3 {
		feed([]byte{9})
	}
	if got := cap(r.part.data); got > 1<<20+1<<19 {
		t.Fatalf("a megabyte holds %d bytes", got)
	}
	feed([]byte{9, 0x81})
	if r.part == nil || r.part.data != nil {
		t.Fatalf("with one byte of a header: %+v", r.part)
	}
	feed(frames().text("x").b[1:])
	feed(frames().add(0x01, "fragment").b)
	if got := cap(r.part.data); got > 64 {
		t.Fatalf("a fragment of 8 bytes holds %d", got)
	}
	feed(frames().ping("long enough").b[:9])
	feed(frames().ping("long enough").b[9:])
	if r.part.ctl != nil {
		t.Fatal("a control frame that is done is still held")
	}
	feed(frames().add(0x80, "").b)
	if r.part != nil {
		t.Fatalf("a complete message left %+v", r.part)
	}
	if n := len(rec.lines); n != 7 {
		t.Fatalf("%d events: %q", n, rec.lines)
	}
}

// The receiver may end the reader from within an event; nothing follows.
func TestReaderEnd(t *testing.T) {
	f := func(w *script, last string, want ...string) {
		t.Helper()
		for _, step := range []int{1, 5, len(w.b)} {
			var r Reader
			rec := &record{hook: func(line string) {
				if line == last {
					r.End()
				}
			}}
			if got := feedAll(&r, w.b, testMax, rec, func() int { return step }); !slices.Equal(got, want) {
				t.Fatalf("in steps of %d: %q, want %q", step, got, want)
			}
			if r.part != ended {
				t.Fatalf("in steps of %d: not ended", step)
			}
		}
	}
	f(frames().text("a").text("b").text("c"), `text "b"`, `text "a"`, `text "b"`)
	f(frames().ping("p").text("c"), `ping "p"`, `ping "p"`)
	f(frames().add(0x01, "a").ping("p").add(0x80, "b"), `ping "p"`, `ping "p"`)
	f(frames().add(0x01, "a").add(0x80, "b").raw(0xFF, 0xFF), `text "ab"`, `text "ab"`)
}
