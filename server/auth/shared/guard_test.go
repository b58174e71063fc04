package shared

import (
	"fmt"
	"strings"
	"testing"
)

// hello is how redis-server 7 answers HELLO 2 with a module.
const hello = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n" +
	"$2\r\nid\r\n:4\r\n" +
	"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n" +
	"*1\r\n*8\r\n$4\r\nname\r\n$1\r\nx\r\n" +
	"$3\r\nver\r\n:1\r\n$4\r\npath\r\n$2\r\n/x\r\n$4\r\nargs\r\n*0\r\n"

// TestReplies: answers to our commands pass. What would take memory or depth without a bound does not.
func TestReplies(t *testing.T) {
	f := func(text string, ok bool) {
		t.Helper()
		for _, size := range []int{len(text), 1, 7} { // however it arrives
			var r replies
			var err error
			for rest := text; rest != "" && err == nil; {
				n := min(size, len(rest))
				err = r.take([]byte(rest[:n]))
				rest = rest[n:]
			}
			if (err == nil) != ok {
				t.Errorf("%.60q in pieces of %d: %v", text, size, err)
			}
			whole := err == nil && strings.HasSuffix(text, "\r\n")
			if whole && (r.nest != 0 || r.size != 0 || r.skip != 0) {
				t.Errorf("%.60q: after it %+v", text, r)
			}
		}
	}
	bulk := func(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }
	f("+OK\r\n$-1\r\n$0\r\n\r\n:1\r\n-OOM command not allowed\r\n*-1\r\n*0\r\n_\r\n", true)
	f(hello+hello, true)
	f("%1\r\n+a\r\n+b\r\n+OK\r\n", true)
	f(bulk(MaxEntry+headSize+overhead+10)+bulk(MaxEntry), true)
	f("$5\r\n$9\r\n\r\r\n", true) // the content of a text is not a length
	f("+O", true)                 // not whole yet

	f("$99999999999999\r\n", false)
	f("$9223372036854775807\r\n", false)
	f("$99999999999999999999\r\n", false)
	f("$-2\r\n", false)
	f("$x\r\n", false)
	f("*1000000\r\n", false)
	f(strings.Repeat("*1\r\n", 7), false)
	f("*400\r\n"+strings.Repeat(bulk(1000), 400), false)
	f("+"+strings.Repeat("x", maxLine+1), false)
	f("HTTP/1.1 400 Bad Request\r\n", false)
	f("+OK\n", false)
	f("\r\n", false)
	f("\x16\x03\x01\x02\x00\x01\x00\n", false)
}

// FuzzReplies: it does not matter how a stream arrives, and what is kept of it is bounded.
func FuzzReplies(f *testing.F) {
	f.Add(hello)
	f.Add("$5\r\nab\r\nc\r\n+OK\r\n")
	f.Add("%2\r\n*1\r\n+a\r\n:1\r\n_\r\n$-1\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var whole, bytes replies
		a := whole.take([]byte(text))
		var b error
		for i := 0; i < len(text) && b == nil; i++ {
			b = bytes.take([]byte{text[i]})
		}
		if (a == nil) != (b == nil) || len(whole.line) > maxLine || whole.size > maxReply || whole.skip > maxReply+2 {
			t.Errorf("%q: %v, by the byte %v, %+v", text, a, b, whole)
		}
	})
}
