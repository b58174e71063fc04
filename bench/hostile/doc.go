// Package hostile is the process that attacks: Run holds clients that do one kind of
// harm each (kinds.go), at a rate, and come back when they are closed. RunSink is the
// server that the same clients attack in a paired run: it reads and discards, so that
// what is worse at the gateway is the gateway's doing.
//
// Each hostile connection has a goroutine that writes, and one more that reads
// where it must; they share the Tally behind a lock, which is taken once a connection.
// A new kind is an entry in kinds and a function that runs until its connection ends.
package hostile
