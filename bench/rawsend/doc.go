// Package rawsend is the least that can send a message to many sockets: one goroutine,
// one epoll set, one write a message and client. It is the baseline for the gateway's
// CPU per message. Run is its process: it reads a Job and publishes to itself.
package rawsend
