package proto

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// AppendUpgrade appends the opening handshake (RFC 6455, 4.1).
func AppendUpgrade(dst []byte, host, path, subprotocol, token, key string, deflate bool) []byte {
	dst = append(dst, "GET "+path+" HTTP/1.1\r\nHost: "+host+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"+
		"\r\nSec-WebSocket-Key: "+key...)
	if subprotocol != "" {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "+subprotocol...)
	}
	if token != "" {
		dst = append(dst, "\r\nAuthorization: Bearer "+token...)
	}
	if deflate {
		dst = append(dst, "\r\nSec-WebSocket-Extensions: permessage-deflate"...)
	}
	return append(dst, "\r\n\r\n"...)
}

// UpgradeKey returns the Sec-WebSocket-Key of a client. It is computed from the client's
// number and a random start, so it needs no memory.
func UpgradeKey(seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rnd.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rnd.Uint64())
	return base64.StdEncoding.EncodeToString(b[:])
}

// AcceptKey returns the server's answer to a key (RFC 6455, 4.2.2).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ParseUpgrade parses the server's answer to a key at the front of b. It returns the
// answer's length, or 0 if more bytes are needed.
func ParseUpgrade(b []byte, key string) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > 16<<10 {
			return 0, fmt.Errorf("the handshake's answer does not end within %d bytes", len(b))
		}
		return 0, nil
	}
	lines := strings.Split(string(b[:end]), "\r\n")
	proto, status, _ := strings.Cut(lines[0], " ")
	if !strings.HasPrefix(proto, "HTTP/1.") {
		return 0, fmt.Errorf("the handshake was answered with %.60q, which is not HTTP", lines[0])
	}
	if !strings.HasPrefix(status, "101") {
		body := strings.TrimSpace(string(b[end+4:]))
		if body != "" {
			body = ": " + body[:min(len(body), 200)]
		}
		return 0, fmt.Errorf("the handshake was refused: %s%s", status, body)
	}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Accept") {
			if got := strings.TrimSpace(value); got != AcceptKey(key) {
				return 0, fmt.Errorf("the handshake's answer has Sec-WebSocket-Accept %q, want %q", got, AcceptKey(key))
			}
			return end + 4, nil
		}
	}
	return 0, fmt.Errorf("the handshake's answer has no Sec-WebSocket-Accept")
}

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
