// Package proto is the wire protocol as the bench's clients speak it: frames
// (RFC 6455), the opening handshake, and the gateway's JSON messages. A few functions
// are of the other side, for servers that tests and sinks need (server.go).
//
// It imports nothing of ours and holds no state: functions append to a buffer or take
// one apart. A load client calls ParseHeader once a frame.
package proto
