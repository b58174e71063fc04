package proto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
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

// Request is a client's request, with the members that the bench's own servers need.
type Request struct {
	Method string
	ID     int
	Params struct {
		Join, Rooms []string
		Since       map[string]map[string]any
	}
}

// ReadClientFrame reads a client's frame and unmasks it.
func ReadClientFrame(in *bufio.Reader) (op byte, p []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(in, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(h[1] & 127)
	if h[1]&0x80 == 0 {
		return 0, nil, fmt.Errorf("an unmasked frame")
	}
	if n == 126 {
		var l [2]byte
		if _, err = io.ReadFull(in, l[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(l[:]))
	}
	b := make([]byte, 4+n)
	if _, err = io.ReadFull(in, b); err != nil {
		return 0, nil, err
	}
	for i := range b[4:] {
		b[4+i] ^= b[i&3]
	}
	return h[0] & 15, b[4:], nil
}

// RequestKey returns the Sec-WebSocket-Key of an opening handshake, and reports whether
// the handshake is complete.
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
			""+AcceptKey(key)+"\r\n\r\n"...)
}
