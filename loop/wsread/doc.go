// Package wsread turns the bytes that a client sends into messages: it finds frames,
// unmasks, puts fragments together, inflates, and checks UTF-8 (RFC 6455 section 5,
// RFC 7692). It knows no socket, no connection and no other package of ours.
//
// # How a message passes through
//
// The goroutine that reads a connection gives Reader.Feed whatever the socket had, cut
// anywhere. A frame that lies whole in it, nearly all there are, is unmasked in place and
// handed to Events without a copy. Of any other the Reader keeps what has come. Before
// anything is done with a whole message, Events.Admit is called: what a client may not send
// is neither inflated nor checked. A fault gives the close code and a short reason, and is
// found at the first byte that cannot be right; how the bytes were cut changes nothing
// (FuzzReader, against a model that reads whole frames).
//
// # Bounds
//
// A message is as long as Events.Limits allows, deflated or not; one that inflates to more
// than 256 times its size is a fault. Reader.Held is the memory of what is incomplete, which
// grows only as bytes arrive: its owner bounds the sum.
//
// A Reader belongs to the goroutine that reads its connection. Inflaters, 45 KB each, are
// shared by all of those: as many as inflate at once. permessage-deflate is without context
// takeover, so a connection keeps none.
package wsread
