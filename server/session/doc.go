// Package session is what a client talks to: the handshake's verdict, authentication, and the
// JSON-RPC methods. It imports the engine's and the rooms' types. It uses a connection through an
// interface (conn), so that tests have their own.
//
// New makes the Handler, and the engine calls Handler.Engine(). A handshake is judged in handshake.go. One
// for a stream of events says all at once what others say by authenticate and subscribe (stream.go). A
// message goes from its poller to admitMessage, which counts it against the pace, and then to message.
// That parses it (method.go), counts its cost (budget.go) and calls the method: authenticate (auth.go),
// subscribe, unsubscribe and list_subscriptions (rooms.go, join.go, wildcard.go), or ping. A token that
// must be asked for elsewhere parks the session (asking.go). Whether it is revoked is judged when the
// session takes it, and again after each revocation (revoked.go). The connection's loop joins the
// rooms and calls back for the reply. Texts are written in reply.go, and codes and notices are in
// rooms/wire. A new method is an op, its parameters in params.go, and a case of
// Handler.call.
//
// The state of a connection is its session, 64 bytes. Requests come on a poller's goroutine, timers
// and the answers of rooms on a loop's. session.mu guards the fields, and no method of a connection
// is called while it is held. Nothing here blocks. A request comes from a pool and is used for one
// message at a time. What outlives the call is copied.
package session
