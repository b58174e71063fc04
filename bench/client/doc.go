// Package client is one blocking WebSocket client. A Dialer connects and authenticates.
// It returns a Conn, whose Next reads a frame. The package is for a few hundred clients
// that each behave in their own way: newcomers, resumes, hostile clients. The load itself
// comes from package worker.
//
// Any goroutine may use a Dialer. A Conn belongs to the goroutine that opened it.
package client
