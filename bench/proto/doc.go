// Package proto is the wire protocol as the bench's clients speak it: frames (RFC 6455),
// the opening handshake, and the gateway's JSON messages. A few functions are the server's
// side, for the servers of tests and sinks (server.go).
//
// It imports nothing of ours and holds no state. Functions append to a buffer or parse
// one. A load client calls ParseHeader once for each frame.
package proto
