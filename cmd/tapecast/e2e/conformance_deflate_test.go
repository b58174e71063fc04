package e2e

import (
	"math/rand/v2"
	"testing"
)

// conformCompression is sections 12 and 13: messages of many sizes and kinds, in many
// fragments, with all offers that a client can make.
func conformCompression(t *testing.T, addr string) {
	const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	offers := map[string]bool{
		"permessage-deflate": true,
		"permessage-deflate; client_no_context_takeover; client_max_window_bits": true,
		"permessage-deflate; client_max_window_bits=9":                           true,
		"permessage-deflate; client_max_window_bits=15":                          true,
		"permessage-deflate; server_max_window_bits=9, permessage-deflate":       true,
		"permessage-deflate; server_no_context_takeover":                         true,
		"permessage-deflate; server_max_window_bits=9":                           false,
		"permessage-deflate; unknown":                                            false,
		"x-webkit-deflate-frame":                                                 false,
	}
	rnd := rand.New(rand.NewPCG(12, 13))
	for offer, agreed := range offers {
		c, r := rawDial(t, addr, rawRequest+"Sec-WebSocket-Extensions: "+offer+"\r\n\r\n", 0)
		got := r.Header.Get("Sec-WebSocket-Extensions")
		if r.StatusCode != 101 || agreed && got != answer || !agreed && got != "" {
			t.Fatalf("%s: %s, extensions %q", offer, r.Status, got)
		}
		if !agreed {
			c.send(raw().add(0xC1, deflateMessage(t, "Hello", 6)).Bytes(), 0)
			if got := c.next(); got != "close 1002" {
				t.Fatalf("%s was declined, and then: %s", offer, got)
			}
			continue
		}
		compressedSizes(t, c, offer, rnd)
		if c.inflated == 0 {
			t.Errorf("%s: nothing came deflated", offer)
		}
		c.send(raw().add(0xC1, "\xff\xff\xff\xff").Bytes(), 0)
		if got := c.next(); got != "close 1007" {
			t.Fatalf("bytes that are not deflated: %s", got)
		}
	}
	c, r := rawDial(t, addr,
		rawRequest+"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: ;\r\n\r\n", 0)
	if r.StatusCode != 400 {
		t.Fatalf("extensions that are none: %s", r.Status)
	}
	c.conn.Close()

	bomb := deflateMessage(t, string(make([]byte, 50<<20)), 9) // first, since the dial starts the client's patience
	c, _ = rawDial(t, addr, rawRequest+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 0)
	c.send(raw().add(0xC2, bomb).Bytes(), 0)
	if got := c.next(); got != "close 1009" {
		t.Fatalf("a bomb: %s", got)
	}
}

// compressedSizes sends texts of many sizes, deflated and in pieces, and reads each back.
func compressedSizes(t *testing.T, c *rawClient, offer string, rnd *rand.Rand) {
	t.Helper()
	c.deflates = true
	for i, size := range []int{0, 1, 16, 64, 127, 128, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072} {
		text := marketText(rnd, size)
		z := deflateMessage(t, text, 1+i%9)
		f := raw()
		if n := []int{0, 256, 1024, 32768}[i%4]; n > 0 && len(z) > n {
			first := byte(0x41)
			for ; len(z) > n; z, first = z[n:], 0x00 {
				f.add(first, z[:n])
			}
			f.ping("between").add(0x80, z)
			c.send(f.Bytes(), 0)
			if got := c.next(); got != pongOf("between") {
				t.Fatalf("%s, %d bytes: %s", offer, size, got)
			}
		} else {
			c.send(f.add(0xC1, z).Bytes(), 0)
		}
		if got := c.next(); got != textOf(text) {
			t.Fatalf("%s, %d bytes: %s, not %s", offer, size, got, textOf(text))
		}
		c.send(raw().text(text).Bytes(), 0) // plain is still allowed
		if got := c.next(); got != textOf(text) {
			t.Fatalf("%s, %d plain bytes: %s", offer, size, got)
		}
	}
}
