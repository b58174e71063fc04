// Command peers measures other push servers and tapecast in turns, with the same clients,
// the same publisher and the same load, on one machine and within one call.
// It is a module of its own, so the product does not depend on what it imports.
//
// `peers serve NAME` is one small broadcast server on one library. Each is written as that
// library's documentation advises for broadcasts. What can be built once for all clients is
// built once. Where a write can delay other clients, each connection has a queue or a
// goroutine. All take their messages through POST /debug/append, as the gateway does for
// benches. All serve /metrics with the gateway's own code. So one publisher and one scraper
// serve all. What they send:
//
//	nats        embedded nats-server: NATS over WebSocket
//	centrifuge  the library that Centrifugo is made of, its JSON protocol
//	gorilla     gorilla/websocket: the bare value, to every client
//	gws         lxzan/gws: the bare value, to every client
//	nbio        nbio's own websocket package: the bare value, to every client
//
// `peers run` starts them and tapecast. Each has its turn at each rate, until it falls
// behind, and then at half and at four fifths of its limit. The table goes into
// bench/RESULTS.md. The processes are the driver, which publishes, one server for each
// contender, and the bench's client processes. Only one server has clients at a time.
//
// A server also has fallen behind if it drops messages or connections of clients that read
// as fast as they can: that is how most servers bound their memory.
package main
