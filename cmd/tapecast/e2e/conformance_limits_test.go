package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func conformSizes(t *testing.T, addr string) {
	sizes := []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20}
	if testing.Short() {
		sizes = sizes[:3]
	}
	for _, n := range sizes {
		s := strings.Repeat("0123456789abcdef", n/16)
		converseIn(t, addr, 0, raw().text(s).Bytes(), []string{textOf(s)})
		converseIn(t, addr, 64<<10, raw().binary(s).Bytes(), []string{binaryOf(s)})
	}
	// One message in more and more fragments, and in more and more packets.
	s := strings.Repeat("0123456789abcdef", sizes[min(3, len(sizes)-1)]/16)
	for n := 64; n <= len(s); n *= 4 {
		converseIn(t, addr, 0, raw().fragments(1, s, n).Bytes(), []string{textOf(s)})
		converseIn(t, addr, 1000, raw().fragments(2, s, n).Bytes(), []string{binaryOf(s)})
	}
	for _, n := range []int{64, 128, 256, 512, 1024, 2048} {
		s := s[:1<<20]
		converseIn(t, addr, n, raw().text(s).Bytes(), []string{textOf(s)})
	}
}

func conformRoundTrips(t *testing.T, addr string) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for _, n := range []int{0, 16, 64, 256, 1024, 4096, 8192, 16384, 65536} {
		c := rawOpen(t, addr)
		for i := range rounds {
			s := strings.Repeat(string(rune('a'+i%26)), n)
			b, want := raw().text(s), textOf(s)
			if i%2 == 1 {
				b, want = raw().binary(s), binaryOf(s)
			}
			c.send(b.Bytes(), 0)
			if got := c.next(); got != want {
				t.Fatalf("round trip %d of %d bytes: %.300s", i, n, got)
			}
		}
		c.conn.Close()
	}

	// A client that reads need not wait for the answers.
	b, want := raw(), []string(nil)
	for i := range rounds {
		s := strings.Repeat(fmt.Sprintf("message %04d ", i), 80)
		b.text(s)
		want = append(want, textOf(s))
	}
	converse(t, addr, b, want...)
	s := strings.Repeat("x", 256<<10)
	converse(t, addr, raw().text(s).text("Hello").code(1000, ""), textOf(s), textOf("Hello"), "close 1000")
}

func conformPieces(t *testing.T, addr string) {
	s := strings.Repeat("*", 65536)
	converseIn(t, addr, 1300, raw().text(s).Bytes(), []string{textOf(s)})

	// Frames in the same packet as the request, cut anywhere.
	all := raw().text("early").ping("bird").code(1000, "").Bytes()
	for cut := range len(all) + 1 {
		c, r := rawDial(t, addr, rawRequest+"\r\n"+string(all[:cut]), 0)
		if r.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("with %d bytes of frames: %s", cut, r.Status)
		}
		c.send(all[cut:], 0)
		got := map[string]bool{}
		last := ""
		for range 4 {
			last = c.next()
			got[last] = true
		}
		// A pong may be left out after a close.
		if !got[textOf("early")] || !got["close 1000"] || last != "end" && c.next() != "end" {
			t.Fatalf("with %d bytes of frames: %v", cut, got)
		}
		c.conn.Close()
	}

	// The request is cut too, with and without frames behind it.
	for _, n := range []int{1, 2, 7, 100} {
		c, r := rawDial(t, addr, rawRequest+"\r\n"+raw().text("early").String(), n)
		if got := c.next(); r.StatusCode != 101 || got != textOf("early") {
			t.Fatalf("in pieces of %d: %s, then %s", n, r.Status, got)
		}
		c.conn.Close()
	}
}

// TestConformanceLimits: a message over the limit is refused as soon as it is announced, whole
// or in fragments. Control frames never count.
func TestConformanceLimits(t *testing.T) {
	besideOthers(t)
	addr := echoAddr(t, "--max-message", "1KiB")
	f := func(b *rawFrames, want ...string) {
		t.Helper()
		converse(t, addr, b, want...)
	}
	s := strings.Repeat("x", 1024)
	f(raw().text(s).binary(s), textOf(s), binaryOf(s))
	f(raw().fragments(1, s, 100), textOf(s))
	f(raw().add(0x02, s).add(0x00, "").ping("p").add(0x80, ""), pongOf("p"), binaryOf(s))
	f(raw().text("a").text(s+"x"), textOf("a"), "close 1009")
	f(raw().text("a").raw(0x82, 0xFE, 4, 1), textOf("a"), "close 1009")
	f(raw().add(0x01, s).raw(0x80, 0x81), "close 1009")
	f(raw().add(0x01, "").add(0x00, s[:1000]).raw(0x00, 0x80|25), "close 1009")
}

// TestConformanceHandshake: upgrade requests under the rules of RFC 6455, 4.2, RFC 9110 and
// RFC 9112.
func TestConformanceHandshake(t *testing.T) {
	addr := echoAddr(t)
	f := func(status int, request string) *http.Response {
		t.Helper()
		var r *http.Response
		for _, n := range []int{0, 50} {
			var c *rawClient
			c, r = rawDial(t, addr, request, n)
			if r.StatusCode != status {
				t.Fatalf("%.80q in pieces of %d: %s, want %d", request, n, r.Status, status)
			}
			if status == 101 {
				if got := r.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Fatalf("accept %q", got)
				}
			} else {
				if body, err := io.ReadAll(r.Body); err != nil || int64(len(body)) != r.ContentLength || !r.Close {
					t.Fatalf("%.80q: body %q, %v; %v", request, body, err, r.Header)
				}
				if got := c.next(); got != "end" {
					t.Fatalf("%.80q: after the refusal comes %s", request, got)
				}
			}
			c.conn.Close()
		}
		return r
	}
	with := func(lines ...string) string { return rawRequest + strings.Join(append(lines, "", ""), "\r\n") }
	f(101, rawRequest+"\r\n")
	f(101, with("X-Other: 1", "Connection: keep-alive", "Upgrade: h2c"))
	f(400, with("Host: again"))
	f(400, with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
	f(400, with("Content-Length: 5"))
	f(400, with("Transfer-Encoding: chunked"))
	f(400, with("X: a", " folded"))
	f(400, with("X: a\x00b"))
	f(400, strings.ReplaceAll(rawRequest, "\r\n", "\n")+"\n")
	f(400, "\x16\x03\x01 is how TLS begins")
	f(405, strings.Replace(rawRequest, "GET", "PUT", 1)+"\r\n")
	f(505, strings.Replace(rawRequest, "HTTP/1.1", "HTTP/1.0", 1)+"\r\n")
	f(431, with("Cookie: "+strings.Repeat("x", 16<<10)))
	r := f(426, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("426 says %v", r.Header)
	}
	f(426, strings.Replace(rawRequest, "Version: 13", "Version: 8", 1)+"\r\n")
}
