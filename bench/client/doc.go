// Package client is one WebSocket client that blocks: a Dialer connects, authenticates
// and hands out a Conn, whose Next reads a message. It is for clients that do something
// of their own each, a few hundred at most: newcomers, resumes, hostile ones. The load
// itself comes from package worker.
//
// A Dialer may be used by any goroutine; a Conn belongs to the one that opened it.
package client
