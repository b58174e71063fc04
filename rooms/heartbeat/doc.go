// Package heartbeat lets goroutines that work in turns show that they do. A Beat
// belongs to one goroutine, or to those that hold one lock. They alone call Begin and
// End: one atomic store each, and no look at a clock. A watchdog, anywhere, calls Turn from time to time. Where
// it finds the same busy turn again and again, the goroutine stands.
//
// The package imports nothing of ours: loops, pollers, appenders and readers have
// beats, and server watches them.
package heartbeat
