// Package client is the Go client of a gateway: it stays in the rooms that it is given, and its
// application sees each message once and in order, or is told of a gap.
//
//	tape, err := client.Connect(ctx, "wss://push.example.com/ws", client.WithToken(token))
//	prices := tape.Room("prices", client.Keys("BTCUSDT"), client.MaxRate(5),
//		client.OnMessage(func(m client.Message) { fmt.Println(m.Key, string(m.Data)) }))
//	newest, ok := prices.Last("BTCUSDT")
//	defer tape.Close()
//
// It does what the JavaScript client does, with the same names, and server/client/scenarios.yaml
// tests both. It reconnects with full jitter, obeys close codes and Retry-After, takes a new token for
// each connection, and resumes every room and wildcard by position. Handlers are options: what comes
// first is not missed.
//
// # How it is built
//
//   - client.go is the Tape: its goroutine, its steps, and who is told of what.
//   - link.go and lost.go keep one connection: its token, waits, silence and requests. They know no rooms.
//   - conn.go opens a connection, reads and writes it, on goroutines of its own.
//   - joins.go and subscribe.go ask for rooms, load their state and leave them, a few requests at a time.
//   - wire.go has the types of requests and notices, which a test holds to /asyncapi.json.
//   - hear.go and notices.go take the answers, the messages and the notices.
//   - room.go is what is known of one room or wildcard: where it stands, its last values.
//   - store.go keeps positions across runs; timers.go and ordered.go are containers.
//
// Tape.mu is held by every step, and never while a function of the application runs. One goroutine,
// Tape.run, takes all steps: frames, timers, what Load and the token returned. After each it calls the
// handlers, in order, and then joins and leaves what was named. So a handler that is slow slows the reading
// down, and nothing queues up behind it. Methods that an application calls lock mu themselves.
// A connection has three goroutines (read, write, close). Each token and each Load has one while it runs, and
// so has the storage. All of them end with Close, which waits for them: at most a second for the gateway to
// answer the close, and as long as the application's own functions take once their context is done. If the
// context of Connect is done, the gateway gets a tenth of a second.
// Whatever began on an earlier connection carries its turn, and is dropped when that has passed.
//
// # What bounds it
//
// What is kept is bounded by what the application joins, and by the gateway's limits of a wildcard: a
// Room for each room, and its last values, which are kept only where keys are bounded. Besides them:
// 1000 calls that wait or have no answer yet, 1000 stored positions, 8 requests to join at a time, waits of a
// day, 16 frames between reader and handlers, frames of 64 MiB, and one timer for each answer that says to wait.
//
// # The library
//
// WebSocket is github.com/coder/websocket: it has no dependencies, takes contexts, is kept well, and shows
// the answer that refuses a connection, with its Retry-After. The gateway and package scenario use
// gobwas/ws: with another one the client can't share a fault with what tests it.
package client
