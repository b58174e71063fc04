// Package rawsend is the cheapest way to send a message to many sockets: one goroutine,
// one epoll set, one write for each message and client. It is the baseline for the
// gateway's CPU per message. Run is its process: it reads a Job and publishes to itself.
package rawsend
