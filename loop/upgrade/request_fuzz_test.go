package upgrade

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// FuzzUpgrade: a request is judged alike however it arrives; one that is
// accepted net/http reads the same way; the answer is one well-formed response
// that the request can't write into.
func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(get("/ws?token=a%20b")), uint(20))
	f.Add([]byte(get("/ws", "Sec-WebSocket-Protocol: bearer.abc")+"\x81\x80"), uint(100))
	f.Add([]byte(get("http://a/ws", "Authorization: Bearer x", "Upgrade: h2c", "Content-Length: 0")), uint(9))
	f.Add([]byte("GET /ws HTTP/1.1\nHost: a\r\n\r\n"), uint(17))
	f.Add([]byte("POST / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), uint(0))
	f.Add([]byte("\x16\x03\x01"), uint(1))
	f.Add([]byte("HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n"), uint(7))
	f.Add([]byte(get("/ws", "Sec-WebSocket-Protocol: bearer, abc")), uint(100))
	f.Add([]byte(get("/ws", "X: a\r\n folded")), uint(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		var req *Request
		decide := func(r *Request) Verdict { req = r; return Verdict{} }
		response, used, status := new(Scan).Answer(b, anySite, testRemote, decide)
		if used > len(b) || (status == 0) != (response == nil) || (status == 101) != (req != nil) {
			t.Fatalf("%d bytes used of %d, status %d, request %+v, response %q", used, len(b), status, req, response)
		}
		if status == 0 && len(b) >= MaxRequest {
			t.Fatalf("%d bytes are not enough", len(b))
		}
		var sofar Scan
		part, _, s := sofar.Answer(b[:cut%uint(len(b)+1)], anySite, testRemote, admit)
		if s != 0 && (s != status || !bytes.Equal(part, response)) {
			t.Fatalf("some: %d %q\nall: %d %q", s, part, status, response)
		}
		if s == 0 {
			rest, n, s := sofar.Answer(b, anySite, testRemote, admit)
			if n != used || s != status || !bytes.Equal(rest, response) {
				t.Fatalf("in two pieces: %d %q\nat once: %d %q", s, rest, status, response)
			}
		}
		if status == 0 {
			return
		}
		in, method := bufio.NewReader(bytes.NewReader(response)), ""
		if isHead(b) {
			method = http.MethodHead
		}
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || r.StatusCode != status {
			t.Fatalf("%v in %q", err, response)
		}
		if status != 101 {
			return
		}
		if in.Buffered() > 0 {
			t.Fatalf("more than one response: %q", response)
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:used])))
		if err != nil {
			t.Fatalf("accepted what net/http refuses: %s", err)
		}
		if want.Method != "GET" || want.ContentLength != 0 || want.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Fatalf("accepted %+v", want)
		}
		if path := want.URL.Path; path != req.Path && (path != "" || req.Path != "/") ||
			want.URL.RawQuery != req.Query {
			t.Fatalf("%q?%q, net/http has %q?%q", req.Path, req.Query, want.URL.Path, want.URL.RawQuery)
		}
		for name, values := range want.Header {
			if got := req.Header(name); got != strings.Join(values, ", ") {
				t.Fatalf("%s: %q, net/http has %q", name, got, values)
			}
		}
	})
}
