// Package pool starts worker processes, here or on other machines, and talks to them.
// Workers is a set of processes that share one job. An order goes to all at once, and
// their answers add up. One goroutine at a time uses it.
//
// Agent is the server on another machine that lends processes to a driver. That machine
// has its own clock. The driver asks for it 64 times and takes the fastest answer. Half of
// that answer's round trip is the error.
package pool
