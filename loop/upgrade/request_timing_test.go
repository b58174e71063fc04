package upgrade

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// BenchmarkUpgrade measures what a browser sends, with a token, beside
// gobwas/ws's Upgrader, which reads no token.
func BenchmarkUpgrade(b *testing.B) {
	request := []byte(get("/ws?join=manual",
		"Origin: https://server.example.com", "Cache-Control: no-cache", "Pragma: no-cache",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "+
			"Safari/537.36",
		"Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-US,en;q=0.9",
		"Sec-WebSocket-Protocol: tapecast.v1, "+
			"bearer.eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImV4cCI6MTc5OTEyMzQ1Nn0."+
			"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, status := new(Scan).Answer(request, wsSite, testRemote, admit); status != 101 {
				b.Fatal(status)
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, status := new(Scan).Answer(request, elsewhere, testRemote, admit); status != 404 {
				b.Fatal(status)
			}
		}
	})
	b.Run("ws.Upgrader", func(b *testing.B) {
		b.ReportAllocs()
		u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == subprotocol }}
		for b.Loop() {
			if _, err := u.Upgrade(struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(request), io.Discard}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
