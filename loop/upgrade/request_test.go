package upgrade

import (
	"net/http"
	"strings"
	"testing"
)

// refused checks the status of a request that must not reach decide.
func refused(t *testing.T, status int, request string) *http.Response {
	t.Helper()
	r := answer(t, request, func(*Request) Verdict {
		t.Helper()
		t.Fatalf("decide was asked about %q", request)
		return Verdict{}
	})
	if r == nil {
		t.Fatalf("more bytes wanted after %q", request)
	}
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d, for %q", r.StatusCode, status, request)
	}
	return r
}

func TestRequestLine(t *testing.T) {
	f := func(status int, line string) {
		t.Helper()
		refused(t, status, line+"\r\n"+rfcLines+"\r\n")
	}
	f(404, "GET / HTTP/1.1")
	f(404, "GET /ws/ HTTP/1.1")
	f(404, "GET /WS HTTP/1.1")
	f(404, "GET /x?/ws HTTP/1.1")
	f(404, "GET http://server.example.com HTTP/1.1")
	f(404, "GET http://server.example.com?x HTTP/1.1")
	f(405, "POST /ws HTTP/1.1")
	f(405, "OPTIONS * HTTP/1.1")
	f(405, "get /ws HTTP/1.1")
	f(505, "GET /ws HTTP/1.0")
	f(505, "GET /ws HTTP/2.0")
	f(505, "PRI * HTTP/2.0")
	f(400, "GET /ws")
	f(400, "GET  /ws HTTP/1.1")
	f(400, "GET /ws  HTTP/1.1")
	f(400, "GET /ws HTTP/1.1 ")
	f(400, "GET /w s HTTP/1.1")
	f(400, "GET /ws\tHTTP/1.1")
	f(400, "GET /ws http/1.1")
	f(400, "GET /ws HTTP/11")
	f(400, "GET /ws HTTP/1.x")
	f(400, "GET ws HTTP/1.1")
	f(400, "GET * HTTP/1.1")
	f(400, "GET server.example.com:443 HTTP/1.1")
	f(400, "GET /ws#top HTTP/1.1")
	f(400, "GET /w\xC3\xA9 HTTP/1.1")
	f(400, "GET /ws\x00 HTTP/1.1")
	f(400, "GET /ws%2 HTTP/1.1")
	f(400, "GET /ws?token=%zz HTTP/1.1")
	f(400, "G@T /ws HTTP/1.1")
	f(400, "GET")
	f(400, "\r\nGET /ws HTTP/1.1")
	f(400, " GET /ws HTTP/1.1")
	f(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03")

	ok := func(line string) {
		t.Helper()
		if r := answer(t, line+"\r\n"+rfcLines+"\r\n", admit); r == nil || r.StatusCode != 101 {
			t.Fatalf("%q: %+v", line, r)
		}
	}
	ok("GET /ws HTTP/1.1")
	ok("GET /%77%73? HTTP/1.1")
	ok("GET /ws?x=%zz HTTP/1.1")
	ok("GET http://server.example.com/ws?x HTTP/1.1")
	ok("GET WS://server.example.com:80/ws HTTP/1.1")
	if _, _, status := new(Scan).Answer([]byte(get("/any/thing")), anySite, testRemote, admit); status != 101 {
		t.Fatalf("any path: %d", status)
	}
}

// fields returns a function that asks for an upgrade with other fields than a good request has.
func fields(t *testing.T) func(status int, drop string, add ...string) {
	// Each case changes one line of a good request: drop what begins so, add that.
	change := func(drop string, add ...string) string {
		s := "GET /ws HTTP/1.1\r\n"
		for _, line := range strings.SplitAfter(rfcLines, "\r\n") {
			if drop == "" || !strings.HasPrefix(line, drop) {
				s += line
			}
		}
		for _, line := range add {
			s += line + "\r\n"
		}
		return s + "\r\n"
	}
	return func(status int, drop string, add ...string) {
		t.Helper()
		if status == 101 {
			if r := answer(t, change(drop, add...), admit); r == nil || r.StatusCode != 101 {
				t.Fatalf("%q: %+v", change(drop, add...), r)
			}
			return
		}
		refused(t, status, change(drop, add...))
	}
}

func TestRequestFields(t *testing.T) {
	f := fields(t)
	f(400, "Host")
	f(101, "Host", "host:")
	f(101, "Host", "HOST: [::1]:8080")
	f(400, "", "Host: server.example.com")
	f(400, "Host", "Host: a, b")
	f(400, "Host", "Host: a b")
	f(400, "Host", "Host: a@b")
	f(400, "Host", "Host: a/ws")

	f(426, "Upgrade")
	f(426, "Upgrade", "Upgrade: h2c")
	f(426, "Upgrade", "Upgrade: websocket/13")
	f(426, "Upgrade", "Upgrade: websockets")
	f(101, "Upgrade", "uPGRADE:WebSocket")
	f(101, "Upgrade", "Upgrade: h2c, , HTTP/2.0\t,websocket")
	f(101, "", "Upgrade: h2c")
	f(400, "Upgrade", "Upgrade: web socket")
	f(400, "Upgrade", "Upgrade: websocket, a/b/c")
	f(400, "Upgrade", "Upgrade: websocket, /c")

	f(426, "Connection")
	f(426, "Connection", "Connection: keep-alive")
	f(426, "Connection", "Connection: close, upgraded")
	f(101, "Connection", "Connection: keep-alive, Upgrade")
	f(101, "Connection", "connection: keep-alive", "CONNECTION: upgrade")
	f(400, "Connection", "Connection: Upgrade; q=1")
	f(400, "Connection", "Connection: Upgrade/1")
}

func TestWebSocketFields(t *testing.T) {
	f := fields(t)
	f(426, "Sec-WebSocket-Version")
	f(426, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")
	f(426, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 013")
	f(426, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8")
	f(400, "", "Sec-WebSocket-Version: 13")

	f(400, "Sec-WebSocket-Key")
	f(400, "", "Sec-WebSocket-Key: "+rfcKey)
	f(400, "", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==")
	f(400, "Sec-WebSocket-Key", "Sec-WebSocket-Key: "+rfcKey[:22])
	f(400, "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=")
	f(400, "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA")
	f(400, "Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA*A==")
	f(101, "Sec-WebSocket-Key", "SEC-WEBSOCKET-KEY:\t AAAAAAAAAAAAAAAAAAAAAA== ")

	f(400, "", "Sec-WebSocket-Protocol: a b")
	f(400, "", "Sec-WebSocket-Protocol: a/b")
	f(101, "", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	f(400, "", "Authorization: Bearer a", "authorization: Bearer b")
}

func TestFieldLines(t *testing.T) {
	f := fields(t)
	// A body would be taken for frames.
	f(101, "", "Content-Length: 0")
	f(400, "", "Content-Length: 0", "Content-Length: 0")
	f(400, "", "Content-Length: 5")
	f(400, "", "Content-Length: ")
	f(400, "", "Transfer-Encoding: chunked")

	// What is not a field line.
	f(400, "", "no colon")
	f(400, "", ": nameless")
	f(400, "", "Host : server.example.com")
	f(400, "", "X-A: b", " folded")
	f(400, "", "X-A: b", "\tfolded")
	f(400, "Upgrade", "Upgrade:", " websocket")
	f(400, "", "X-\xC3\xA9: b")
	f(400, "", "X A: b")
	for c := range byte(' ') {
		if c != '\t' && c != '\n' {
			f(400, "", "X-A: b"+string(rune(c))+"c")
		}
	}
	f(400, "", "X-A: b\x7Fc")
	f(101, "", "X-A: \xC3\xA9\xFF\tb:c")
	f(101, "", "X-A:")
}

// Lines end in CR LF only; a reader that is lax about it sees another request.
func TestRequestLineEnds(t *testing.T) {
	f := func(request string) {
		t.Helper()
		refused(t, 400, request)
	}
	f("\n")
	f("GET /ws HTTP/1.1\n")
	f("GET /ws HTTP/1.1\r\nHost: a\n")
	f(strings.ReplaceAll(get("/ws"), "\r\n", "\n"))
	f("GET /ws HTTP/1.1\r\nHost: a\r\r\n\r\n")
	f("GET /ws HTTP/1.1\r\nHost: a\r\n\n")
	f("GET /ws HTTP/1.1\r\nX: a\rHost: b\r\n" + rfcLines + "\r\n")
	f("GET /ws HTTP/1.1\r\r\n" + rfcLines + "\r\n")
}

// What was looked through is not looked at again, though a request comes byte by byte.
func TestRequestScanned(t *testing.T) {
	text := get("/ws", "Cookie: "+strings.Repeat("x", 1000))
	var s Scan
	for n := 1; n < len(text); n++ {
		b := []byte(text[:n])
		for i := 1; i < n-2; i++ {
			b[i] = '\n' // would be refused
		}
		if end, r := s.requestEnd(b, MaxRequest); end != 0 || r.status != 0 {
			t.Fatalf("%d bytes: %d, %+v", n, end, r)
		}
		if s.seen != n {
			t.Fatalf("%d bytes of %d were looked through", s.seen, n)
		}
	}
	if end, r := s.requestEnd([]byte(text), MaxRequest); end != len(text) || r.status != 0 {
		t.Fatalf("the whole: %d, %+v", end, r)
	}
}

func TestRequestSize(t *testing.T) {
	pad := func(n int) string {
		s := get("/ws", "Cookie: ")
		return strings.Replace(s, "Cookie: ", "Cookie: "+strings.Repeat("x", n-len(s)), 1)
	}
	if r := answer(t, pad(MaxRequest), admit); r == nil || r.StatusCode != 101 {
		t.Fatalf("as long as may be: %+v", r)
	}
	refused(t, 431, pad(MaxRequest+1))
	refused(t, 431, pad(MaxRequest+1)+strings.Repeat("more", 1000))
	refused(t, 431, strings.Repeat("G", MaxRequest))
	refused(t, 400, "GET /ws HTTP/1.1\n"+strings.Repeat("G", MaxRequest))

	if r := answer(t, pad(MaxRequest)[:MaxRequest-1], admit); r != nil {
		t.Fatalf("a request that lacks a byte: %+v", r)
	}
}

// What the status obliges to say.
func TestRequestRefusals(t *testing.T) {
	plain := "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"
	r := refused(t, 426, plain)
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Fatalf("426 says %v", r.Header)
	}
	r = refused(t, 405, strings.Replace(plain, "GET", "PUT", 1))
	if r.Header.Get("Allow") != "GET" {
		t.Fatalf("405 says %v", r.Header)
	}
	head := strings.Replace(plain, "GET", "HEAD", 1)
	b, _, status := new(Scan).Answer([]byte(head), wsSite, testRemote, admit)
	if status != 405 || !strings.HasSuffix(string(b), "\r\nContent-Length: 24\r\n\r\n") {
		t.Fatalf("HEAD: %d %q", status, b)
	}
}
