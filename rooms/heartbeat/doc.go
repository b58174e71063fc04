// Package heartbeat shows that goroutines which work in turns still do. A Counter belongs to one
// goroutine, or to those that hold one lock. Only they call Begin and End, each of which is one
// atomic store and reads no clock. A watchdog on any goroutine calls Turn from time to time. If it
// finds the same busy turn again and again, the goroutine stands still.
//
// What keeps a client's connection alive is not a heartbeat but a ping (loop/pings.go).
//
// The package imports nothing of ours. Loops, pollers, appenders, readers, the acceptor, TLS
// workers, the recaller and time look-ups have heartbeats, and server watches them.
package heartbeat
