package loop

import (
	"strings"

	"github.com/gobwas/ws"
)

// clientFrames builds what a client sends, masked, each frame with a mask of its own.
type clientFrames struct {
	b    []byte
	seed byte
}

func frames() *clientFrames { return &clientFrames{} }

// add appends a frame whose first byte is the opcode, FIN and RSV bits as given.
func (f *clientFrames) add(first byte, payload string) *clientFrames {
	f.seed += 0x35
	frame := ws.Frame{Header: ws.Header{
		Fin: first&0x80 != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 0xF), Length: int64(len(payload)),
	}, Payload: []byte(payload)}
	f.b = append(f.b, ws.MustCompileFrame(ws.MaskFrameWith(frame,
		[4]byte{f.seed, f.seed ^ 0xA5, f.seed + 7, ^f.seed}))...)
	return f
}

func (f *clientFrames) text(s string) *clientFrames { return f.add(0x81, s) }
func (f *clientFrames) ping(s string) *clientFrames { return f.add(0x89, s) }

// get is the request of RFC 6455, section 1.2, with more lines.
func get(target string, more ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		strings.Join(append(more, ""), "\r\n") + "\r\n"
}
