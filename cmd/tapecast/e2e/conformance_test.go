package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// The cases follow the sections of the Autobahn test suite, in words and bytes of our own, from
// RFC 6455. They run against the shipped binary over real sockets, each in several pieces.

// echoAddr runs `tapecast echo` until the end of the test.
func echoAddr(t *testing.T, args ...string) string {
	t.Helper()
	e := spawn(t, append([]string{"echo", "--listen", "127.0.0.1:0"}, args...)...)
	var addr string
	eventually(t, patience, "the echo's address", func() bool {
		_, rest, ok := strings.Cut(e.output(), "ws://")
		addr, _, _ = strings.Cut(rest, "/")
		return ok
	})
	return addr
}

func TestConformance(t *testing.T) {
	besideOthers(t)
	addr := echoAddr(t)
	for _, section := range []struct {
		name string
		run  func(*testing.T, string)
	}{
		{"1 framing", conformFraming},
		{"2 pings", conformPings},
		{"3 reserved bits", conformReservedBits},
		{"4 opcodes", conformOpcodes},
		{"5 fragmentation", conformFragments},
		{"6 UTF-8", conformUTF8},
		{"6.4 UTF-8, failing fast", conformFailFast},
		{"7 close handling", conformClose},
		{"9 sizes", conformSizes},
		{"9 round trips", conformRoundTrips},
		{"10 pieces", conformPieces},
		{"12 and 13 compression", conformCompression},
	} {
		t.Run(section.name, func(t *testing.T) { section.run(t, addr) })
	}
}

func conformFraming(t *testing.T, addr string) {
	for _, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		s := strings.Repeat("*", n)
		converse(t, addr, raw().text(s), textOf(s))
		s = strings.Repeat("\xFE", n)
		converse(t, addr, raw().binary(s), binaryOf(s))
	}
	converse(t, addr, raw().text("a").text("").binary("").text("b"), textOf("a"), textOf(""), binaryOf(""), textOf("b"))

	// Frames that must not be sent.
	f := func(code int, b ...byte) {
		t.Helper()
		converse(t, addr, raw().text("a").raw(b...), textOf("a"), fmt.Sprint("close ", code))
	}
	f(1002, 0x81, 0x01, 'x')                                            // not masked
	f(1002, 0x89, 0x00)                                                 // not masked
	f(1002, 0x82, 0xFE, 0, 125, 1, 2, 3, 4)                             // not the shortest length
	f(1002, 0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4)       // not the shortest length
	f(1002, 0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4)          // highest bit set
	f(1009, 0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF) // announced too much
}

func conformPings(t *testing.T, addr string) {
	full := strings.Repeat("\xFE", 125)
	converse(t, addr, raw().ping(""), pongOf(""))
	converse(t, addr, raw().ping("Hello, world!"), pongOf("Hello, world!"))
	converse(t, addr, raw().ping("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"), pongOf("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"))
	converse(t, addr, raw().ping(full), pongOf(full))
	converse(t, addr, raw().ping(full+"\xFE"), "close 1002")
	converse(t, addr, raw().add(0x8A, ""))
	converse(t, addr, raw().add(0x8A, "unasked pong"))
	converse(t, addr, raw().add(0x8A, "unasked pong").ping("ping"), pongOf("ping"))

	// Every ping is answered, although RFC 6455, 5.5.3 allows to answer only the last one.
	f, want := raw(), []string(nil)
	for i := range 10 {
		f.ping(fmt.Sprint("ping ", i))
		want = append(want, pongOf(fmt.Sprint("ping ", i)))
	}
	converse(t, addr, f, want...)
}

func conformReservedBits(t *testing.T, addr string) {
	for rsv := byte(1); rsv <= 7; rsv++ {
		first := 0x80 | rsv<<4
		converse(t, addr, raw().add(first|1, "Hello"), "close 1002")
		converse(t, addr, raw().text("Hello").add(first|2, "Hello").ping(""), textOf("Hello"), "close 1002")
		converse(t, addr, raw().text("Hello").add(first|9, "Hello"), textOf("Hello"), "close 1002")
		converse(t, addr, raw().add(first|8, ""), "close 1002")
	}
}

func conformOpcodes(t *testing.T, addr string) {
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		converse(t, addr, raw().add(0x80|op, ""), "close 1002")
		converse(t, addr, raw().add(0x80|op, "payload of a reserved opcode"), "close 1002")
		converse(t, addr, raw().text("Hello").add(0x80|op, "x").ping(""), textOf("Hello"), "close 1002")
	}
}

func conformFragments(t *testing.T, addr string) {
	f := func(b *rawFrames, want ...string) {
		t.Helper()
		converse(t, addr, b, want...)
	}
	// Control frames are whole.
	f(raw().add(0x09, "frag").add(0x80, "ment"), "close 1002")
	f(raw().add(0x0A, "frag").add(0x80, "ment"), "close 1002")
	f(raw().add(0x08, "").add(0x80, ""), "close 1002")

	f(raw().add(0x01, "frag").add(0x80, "ment"), textOf("fragment"))
	f(raw().add(0x02, "a").add(0x00, "b").add(0x80, "c"), binaryOf("abc"))
	f(raw().add(0x01, "frag").ping("ping").add(0x80, "ment"), pongOf("ping"), textOf("fragment"))
	f(raw().add(0x01, "").add(0x00, "").add(0x80, ""), textOf(""))
	f(raw().add(0x02, "").add(0x00, "x").add(0x80, ""), binaryOf("x"))
	f(raw().add(0x01, "1").add(0x00, "2").ping("a").add(0x00, "3").add(0x00, "4").ping("b").add(0x80, "5"),
		pongOf("a"), pongOf("b"), textOf("12345"))

	// Continuations of no message, and a message within a message.
	f(raw().add(0x80, "non-continuation").text("Hello"), "close 1002")
	f(raw().add(0x00, "non-continuation").text("Hello"), "close 1002")
	f(raw().add(0x01, "a").add(0x80, "b").add(0x80, "c"), textOf("ab"), "close 1002")
	f(raw().add(0x01, "a").add(0x80, "b").add(0x00, "c").add(0x80, "d"), textOf("ab"), "close 1002")
	f(raw().add(0x01, "a").text("b"), "close 1002")
	f(raw().add(0x02, "a").add(0x02, "b"), "close 1002")
}

func conformUTF8(t *testing.T, addr string) {
	for _, s := range []string{
		"Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00\x7F\u0080\u07FF\u0800\uFFFF\U00010000\U0010FFFF",
		"\uD7FF\uE000\uFFFD", "\uFFFE\uFFFF\U0001FFFE\U0010FFFE",
	} {
		converse(t, addr, raw().text(s), textOf(s))
		converse(t, addr, raw().fragments(1, s, 1), textOf(s))
		converse(t, addr, raw().fragments(1, s, 7), textOf(s))
	}
	for _, s := range []string{
		"\x80", "\xBF", "\x80\xBF\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
		"\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF", "\xFE\xFE\xFF\xFF",
		"\xED\xA0\x80", "\xED\xBF\xBF", "\xED\xA0\x80\xED\xB0\x80", "\xF4\x90\x80\x80", "\xF7\xBF\xBF\xBF",
		"\xCE", "\xCE\xBA\xE1", "\xE1\xBD", "\xF0\x9F\x98", "\xC3(", "\xE2\x82(", "κόσμε\xED\xA0\x80edited",
	} {
		converse(t, addr, raw().text(s), "close 1007")
		converse(t, addr, raw().fragments(1, s, 1), "close 1007")
		converse(t, addr, raw().binary(s), binaryOf(s))
	}
	// Text is checked as a whole: each half alone is invalid.
	converse(t, addr, raw().add(0x01, "\xF0\x9F").ping("p").add(0x80, "\x98\x80"), pongOf("p"), textOf("\U0001F600"))
}

// The bytes after the impossible byte are never sent: the server may not wait for them.
func conformFailFast(t *testing.T, addr string) {
	const good, over = "κόσμε", "\xF4\x90\x80\x80"
	f := func(b *rawFrames, cut int) {
		t.Helper()
		for _, n := range []int{0, 1} {
			c := rawOpen(t, addr)
			c.send(b.Bytes()[:b.Len()-cut], n)
			if got := c.next(); got != "close 1007" {
				t.Fatalf("in pieces of %d: %s", n, got)
			}
			if got := c.next(); got != "end" {
				t.Fatalf("in pieces of %d: after the close comes %s", n, got)
			}
			c.conn.Close()
		}
	}
	f(raw().add(0x01, good).add(0x00, over), 0)
	f(raw().add(0x01, good+over[:1]).add(0x00, over[1:2]), 0)
	f(raw().add(0x01, good).add(0x00, over), 2)
	f(raw().text(good+over+"edited"), len("edited"))
	f(raw().text(good+over+"edited"), len("edited")+2)
	f(raw().text("\xFF"+strings.Repeat("x", 60000)), 60000)
}

func conformClose(t *testing.T, addr string) {
	f := func(b *rawFrames, want ...string) {
		t.Helper()
		converse(t, addr, b, want...)
	}
	f(raw().text("Hello").code(1000, ""), textOf("Hello"), "close 1000")
	f(raw().code(1000, "").code(1000, ""), "close 1000")
	f(raw().code(1000, "").ping("late"), "close 1000")
	f(raw().code(1000, "").text("late"), "close 1000")
	f(raw().code(1000, "").raw(0xFF, 0xFF), "close 1000")
	f(raw().add(0x01, "fragment").code(1000, "").add(0x80, "late"), "close 1000")

	f(raw().add(0x88, ""), "close")
	f(raw().add(0x88, "a"), "close 1002")
	f(raw().code(1000, "Hello World!"), "close 1000")
	f(raw().code(1000, strings.Repeat("*", 123)), "close 1000")
	f(raw().code(1000, strings.Repeat("*", 124)), "close 1002")
	f(raw().code(1000, "κόσμε\xED\xA0\x80"), "close 1007")

	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
		3000, 3999, 4000, 4999} {
		f(raw().code(code, ""), fmt.Sprint("close ", code))
		f(raw().code(code, "reason"), fmt.Sprint("close ", code))
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		f(raw().code(code, ""), "close 1002")
		f(raw().code(code, "reason"), "close 1002")
	}
}
