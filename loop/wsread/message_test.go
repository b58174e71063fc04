package wsread

import (
	"fmt"
	"strings"
	"testing"
)

// Section 5: fragmentation, and control frames in between.
func TestReaderFragments(t *testing.T) {
	const (
		noStart  = "fault 1002 unexpected continuation data frame"
		newStart = "fault 1002 unexpected non-continuation data frame"
	)
	f := func(w *script, want ...string) {
		t.Helper()
		finds(t, w, want...)
	}
	f(frames().add(0x01, "frag").add(0x80, "ment"), `text "fragment"`)
	f(frames().add(0x02, "a").add(0x00, "b").add(0x00, "c").add(0x80, "d"), `binary "abcd"`)
	f(frames().add(0x01, "frag").ping("now").add(0x80, "ment"), `ping "now"`, `text "fragment"`)
	f(frames().add(0x01, "a").ping("1").add(0x00, "b").ping("2").add(0x8A, "3").add(0x80, "c").text("d"),
		`ping "1"`, `ping "2"`, `pong "3"`, `text "abc"`, `text "d"`)

	// Empty messages and empty fragments, first, middle, last, all.
	f(frames().add(0x01, "").add(0x80, ""), `text ""`)
	f(frames().add(0x02, "").add(0x00, "").add(0x80, ""), `binary ""`)
	f(frames().add(0x01, "").add(0x00, "x").add(0x80, ""), `text "x"`)
	f(frames().add(0x01, "").ping("").add(0x80, "x"), `ping ""`, `text "x"`)

	// Control frames may not be fragmented.
	f(frames().add(0x09, "frag").add(0x80, "ment"), "fault 1002 control frame is not final")
	f(frames().add(0x0A, "frag").add(0x80, "ment"), "fault 1002 control frame is not final")
	f(frames().add(0x01, "a").add(0x08, "").add(0x80, "b"), "fault 1002 control frame is not final")

	// A continuation of nothing, whatever its FIN bit; also after a message ended.
	f(frames().add(0x80, "non-continuation").text("Hello"), noStart)
	f(frames().add(0x00, "non-continuation").text("Hello"), noStart)
	f(frames().add(0x00, "").text("Hello"), noStart)
	f(frames().add(0x01, "a").add(0x80, "b").add(0x80, "c"), `text "ab"`, noStart)
	f(frames().add(0x01, "a").add(0x80, "b").add(0x00, "c"), `text "ab"`, noStart)
	f(frames().ping("p").add(0x00, "c"), `ping "p"`, noStart)

	// A new message inside one that is open.
	f(frames().add(0x01, "a").text("b"), newStart)
	f(frames().add(0x01, "a").add(0x01, "b"), newStart)
	f(frames().add(0x02, "").add(0x01, "b"), newStart)
	f(frames().add(0x01, "a").ping("p").add(0x00, "b").binary("c"), `ping "p"`, newStart)

	// Many fragments, pings among them.
	w, all, want := frames(), "", []string(nil)
	for i := range 200 {
		first := byte(0)
		if i == 0 {
			first = 1
		}
		w.add(first, fmt.Sprint(i))
		all += fmt.Sprint(i)
		if i%17 == 0 {
			w.ping(fmt.Sprint(i))
			want = append(want, fmt.Sprintf("ping %q", fmt.Sprint(i)))
		}
	}
	f(w.add(0x80, ""), append(want, "text "+short([]byte(all)))...)
}

// Section 6: UTF-8, in one frame and across fragments.
func TestReaderUTF8(t *testing.T) {
	const bad = "fault 1007 text is not UTF-8"
	good := func(s string) {
		t.Helper()
		finds(t, frames().text(s), "text "+short([]byte(s)))
		for i := range len(s) + 1 {
			finds(t, frames().add(0x01, s[:i]).ping("").add(0x80, s[i:]), `ping ""`, "text "+short([]byte(s)))
		}
		w := frames().add(0x01, "")
		for i := range len(s) {
			w.add(0x00, s[i:i+1])
		}
		finds(t, w.add(0x80, ""), "text "+short([]byte(s)))
	}
	good("Hello-µ@ßöäüàá-UTF-8!!")
	good("κόσμε")
	good("\x00\x7f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff")
	good("\ud7ff\ue000\ufffd\ufffe\uffff\U0001fffe")

	for _, s := range []string{
		"\x80", "\xbf", "a\x80\xbfb", "\xc0\xaf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
		"\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"κόσμε\xed\xa0\x80edited", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(",
		"\xce", "\xe2\x82", "\xf0\x9f\x98", "cut at its end \xf0\x9f",
	} {
		finds(t, frames().text(s), bad)
		finds(t, frames().text("ok").text(s), `text "ok"`, bad)
		for i := range len(s) + 1 {
			finds(t, frames().add(0x01, s[:i]).add(0x80, s[i:]), bad)
		}
		finds(t, frames().binary(s), "binary "+short([]byte(s)))
	}
}

// Section 6.4: text that can't be right any more ends the connection at its
// first impossible byte, inside a fragment or a frame that has not all come.
func TestReaderUTF8FailsFast(t *testing.T) {
	f := func(w *script, at int) {
		t.Helper()
		for n := 1; n <= len(w.b); n++ {
			var r Reader
			got := feedAll(&r, w.b[:n], testMax, &record{}, func() int { return n })
			if failed := len(got) > 0; failed != (n > at) {
				t.Fatalf("%d bytes: %q, want the fault from byte %d on", n, got, at)
			}
		}
	}
	const good, over, rest = "κόσμε", "\xf4\x90\x80\x80", "edited"
	n := len(good)
	// In fragments: whole, and cut inside the rune that is past U+10FFFF.
	f(frames().add(0x01, good).add(0x00, over).add(0x80, rest), 6+n+6+1)
	f(frames().add(0x01, good+over[:1]).add(0x00, over[1:2]).add(0x80, over[2:]+rest), 6+n+1+6)
	// In one frame.
	f(frames().text(good+over+rest), 6+n+1)
	f(frames().text(strings.Repeat("x", 200)+"\xff"+rest), 8+200)
	f(frames().text(good+"\xc0"+rest), 6+n)
	f(frames().text(good+"\xed\xa0\x80"), 6+n+1)
	f(frames().text(good+"\xf0\x9f\x98"), 6+n+2)
}

// Section 7: the closing handshake, codes and reasons.
func TestReaderClose(t *testing.T) {
	finds(t, frames().add(0x88, ""), `closed 1005 ""`)
	finds(t, frames().text("a").add(0x88, ""), `text "a"`, `closed 1005 ""`)
	finds(t, frames().add(0x88, "\x03"), "fault 1002 close payload of one byte")
	long := strings.Repeat("*", 123)
	finds(t, frames().code(1000, long), "closed 1000 "+short([]byte(long)))
	finds(t, frames().code(1000, long+"*"), "fault 1002 control frame payload limit exceeded")
	finds(t, frames().code(1000, "\xce\xba\xe1\xbd"), "fault 1007 close reason is not UTF-8")
	finds(t, frames().code(999, "\xff"), "fault 1002 close code may not be sent")

	// What comes after a close frame is no longer read, not even when it is wrong.
	finds(t, frames().code(1000, "").code(1001, ""), `closed 1000 ""`)
	finds(t, frames().code(1000, "").ping("x").text("y"), `closed 1000 ""`)
	finds(t, frames().code(1000, "").raw(0xFF, 0xFF, 0xFF), `closed 1000 ""`)
	finds(t, frames().add(0x01, "a").code(1000, "").add(0x80, "b"), `closed 1000 ""`)
	finds(t, frames().add(0x83, "").code(1000, "").text("a"), "fault 1002 use of reserved op code")

	valid := func(code int) bool {
		return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
	}
	for code := range 1 << 16 {
		want := "fault 1002 close code may not be sent"
		if valid(code) {
			want = fmt.Sprintf(`closed %d "why"`, code)
		}
		var r Reader
		w := frames().code(code, "why")
		if got := feedAll(&r, w.b, testMax, &record{},
			func() int { return len(w.b) }); len(got) != 1 || got[0] != want {
			t.Fatalf("close %d: %q, want %q", code, got, want)
		}
	}
}

// Section 10: data that comes in pieces no frame knows of.
func TestReaderPieces(t *testing.T) {
	s := strings.Repeat("*", 65536)
	w := frames().text(s).text("after")
	for _, n := range []int{1, 1300, 4096, len(w.b)} {
		var r Reader
		got := feedAll(&r, w.b, testMax, &record{}, func() int { return n })
		if len(got) != 2 || got[0] != "text "+short([]byte(s)) || got[1] != `text "after"` {
			t.Fatalf("in pieces of %d: %q", n, got)
		}
	}
}
