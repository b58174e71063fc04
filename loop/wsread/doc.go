// Package wsread turns the bytes that a client sends into messages: it finds frames, unmasks, joins
// fragments, inflates, and checks UTF-8 (RFC 6455 section 5, RFC 7692). It knows no socket, no
// connection and no other package of ours.
//
// # How a message passes through
//
// The goroutine that reads a connection passes to Reader.Feed whatever the socket had, cut
// anywhere. (A rooms.Feed is a topic and something else.) A frame that lies completely in it, as
// nearly all do, is unmasked in place and passed to Events without a copy. Of any other frame the
// Reader keeps what has come. Events.Admit is called before anything is done with a complete
// message, so a message that is not admitted is neither inflated nor checked. A fault gives the
// close code and a short reason, and is found at the first byte that cannot be right. How the bytes
// were cut changes nothing (FuzzReader, against a model that reads whole frames).
//
// # Bounds
//
// Events.Limits bounds the length of a message, deflated or not. A message that inflates to more
// than 256 times its size is a fault. Reader.Held is the memory of an incomplete message, which
// grows only as bytes arrive. Its owner bounds the sum.
//
// A Reader belongs to the goroutine that reads its connection. Inflaters, 45 KB each, are shared by
// all of them, so there are as many as inflate at once. permessage-deflate is without context
// takeover, so a connection keeps none.
package wsread
