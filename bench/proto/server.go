package proto

import (
	"bytes"
	"strings"
)

// AppendServerFrame appends one frame as a server sends it.
func AppendServerFrame(dst []byte, op byte, p []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 127, 0, 0, byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, p...)
}

// RequestKey returns the Sec-WebSocket-Key of a handshake, and whether the handshake is complete.
func RequestKey(b []byte) (string, bool) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return "", false
	}
	for l := range strings.SplitSeq(string(b[:end]), "\r\n") {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(name, "Sec-WebSocket-Key") {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// AppendAccept appends the answer to an opening handshake (RFC 6455, 4.2.2).
func AppendAccept(dst []byte, key string) []byte {
	return append(dst,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
			AcceptKey(key)+"\r\n\r\n"...)
}
