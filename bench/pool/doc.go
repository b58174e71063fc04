// Package pool starts worker processes, here or on other machines, and talks to them.
// Workers is a set of them that share one job: an order goes to all at once, and their
// answers add up. One goroutine at a time uses it.
//
// Agent is the server on another machine that lends processes to a driver. Their clock is
// another one: it is asked 64 times, and of the answer that came fastest half the time is
// how much it may be off.
package pool
