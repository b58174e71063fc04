// Package forwarded finds a client's address in X-Forwarded-For, or in Forwarded (RFC 7239). A proxy
// that speaks HTTP adds to these fields the address that a request came from.
//
// It takes a field's value and returns an address. The owner calls it only for a peer that is itself a
// trusted proxy, since any other peer may claim any address. The list is read from its end. What
// trusted proxies have added is passed over, and the first address that is not theirs is the
// client's. What stands before it may be the client's own invention: in X-Forwarded-For it is not
// looked at. Forwarded has quoted strings, so that all of it must be well-formed. Then a quote that
// a client opens cannot hide what proxies add later.
package forwarded
