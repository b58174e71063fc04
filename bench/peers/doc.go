// Command peers measures other push servers and tapecast in turns, with the same
// clients, the same publisher and the same load, on one machine and in one go.
// It is a module of its own, so that what it needs is none of the product's.
//
// `peers serve NAME` is one broadcast server on one library, in few lines, each
// written as that library's documentation has it for broadcasts: what is built
// once for all is built once, and where a write can hold up others there is a
// queue or a goroutine for each connection. All take their messages by the POST
// /debug/append that the gateway has for benches, and say on /metrics what they
// use, by the same code as the gateway; so one publisher and one scraper serve
// all. What they send:
//
//	nats        embedded nats-server: NATS over WebSocket
//	centrifuge  the library that Centrifugo is made of, its JSON protocol
//	gorilla     gorilla/websocket: the bare value, to everybody
//	gws         lxzan/gws: the bare value, to everybody
//	nbio        nbio's own websocket package: the bare value, to everybody
//
// `peers run` starts them and tapecast, and lets each have its turn at each rate,
// until it falls behind; then at half and at four fifths of what it can do. The
// table goes into bench/RESULTS.md. Processes: the driver, which publishes; a
// server each, of which all but one have no clients; client processes, by bench.
//
// A server that drops messages or connections of clients that read as fast as
// they can has fallen behind as well: that is how most bound their memory.
package main
