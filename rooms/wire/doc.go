// Package wire writes every byte that a gateway says to a client, once the upgrade is
// done: frames, the envelope of messages, notices, the heads of replies, error codes and
// close codes. docs/protocol of the server tells clients what they mean.
//
// It is a leaf: it imports nothing of ours, keeps no state, and any goroutine may call it.
// Each function appends to dst and allocates nothing but what dst grows by. One function
// writes one notice, so a new notice is a new function in notice.go, and a new code is a
// line in codes.go.
//
// Text that is passed in is valid UTF-8; package rooms says what the parts of a message may
// hold (rooms/name.go). Positions are whatever can write itself as JSON (Positions).
package wire
