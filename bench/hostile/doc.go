// Package hostile is the process that attacks. Run holds clients that each do one kind of
// harm (kinds.go) at a rate, and that come back when they are closed. RunSink is a server
// that the same clients attack in a paired run. It reads and discards. So what is worse at
// the gateway is caused by the gateway.
//
// Each hostile connection has a goroutine that writes, and one more that reads where that
// is needed. They share the Tally behind a lock, which is taken once for each connection. A
// new kind is an entry in kinds, and a function that runs until its connection ends.
package hostile
