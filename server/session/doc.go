// Package session is what a client meets: the handshake's verdict, authentication, and the
// JSON-RPC methods. It imports the engine's and the rooms' types, and what it asks of a
// connection is an interface (conn), so that tests have one of their own.
//
// New makes the Handler, and the engine calls Handler.Engine(). A message goes from its poller
// to admitMessage, which holds it against the pace, and to message, which parses it
// (method.go), counts what it costs (cost.go, budget.go) and calls the method: authenticate
// (auth.go), subscribe, unsubscribe and list_subscriptions (rooms.go, join.go, wildcard.go),
// ping. Rooms are joined by the connection's loop, which calls back for the reply. Texts are
// written in reply.go, codes and notices in rooms/wire. A new method is an op, its parameters
// in params.go, and a case of Handler.call.
//
// What is kept of a connection is its session, 48 bytes. Requests come on a poller's
// goroutine, timers and the answers of rooms on a loop's: session.mu guards the fields, and no
// method of a connection is called while it is held. Nothing here blocks. A request lies in a
// pool and is used for one message at a time; what outlives the call is copied out.
package session
