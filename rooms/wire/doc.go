// Package wire writes every byte that a gateway says to a client after the upgrade: frames, the
// envelope of messages, notices, the start of replies, error codes and close codes. The page
// server/web/docs/protocol.md explains them to clients. Clients that read server-sent events are told
// the same in another form (event.go).
//
// It imports nothing of ours and keeps no state, and any goroutine may call it. Each function
// appends to dst and allocates only when dst grows. One function writes one notice, so a new notice
// is a new function in notice.go, and a new code is a line in codes.go.
//
// Text that is passed in must be valid UTF-8. The comment in rooms/name.go says what the parts of a
// message may hold. Positions is anything that can write itself as JSON.
package wire
