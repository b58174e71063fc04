// Package netpoll is nbio (v1.6.12) behind one door: it listens, accepts, tells when a socket
// is readable, and closes it. Nothing else of ours imports nbio. Its owner is told through
// the functions of Config, and has a Socket for each connection.
//
// # What is left of nbio
//
// nbio accepts, watches and tells; it neither reads, writes nor closes. A descriptor that is
// not one of the standard library's connections it leaves to us
// (TestNbioLeavesTheDescriptorToUs), so what it gets from Accept is bare. Its own Write
// copies what the kernel does not take into a buffer without limit, and its Writev loses
// that (TestNbioWritevLosesData). Its events are one-shot: each is reported once, and again
// only when the owner asks for it (Socket.Again), which puts the connection behind all that
// wait already. Level-triggered events would come all the time in which a client is
// deliberately not read. nbio forgets a connection right after an event that says the peer
// is gone, so the owner must then read all that it wants, and close.
//
// # How a connection passes through
//
// The acceptor's goroutine waits until the owner has room (Config.AwaitRoom), accepts a bare
// descriptor, and asks the owner whose it is (Config.Accepted). nbio duplicates the
// descriptor, the Socket gets the duplicate, and the owner hears of it (Config.Opened) before
// any poller watches it. From then on one poller calls Config.Readable when there is input,
// always the same one for a connection.
//
// # Which goroutine may touch what
//
// A Socket's lock keeps its descriptor from being closed, and the number used again, while
// somebody sends to it or reads from it. Any goroutine may write, look or shut down.
// The poller alone closes a descriptor, while it looks at that descriptor's own event: an
// event of the same batch can then never meet another connection under the same number. Who
// wants a connection gone shuts the socket down, and the poller sees the end of its input.
//
// nbio hands a connection from the acceptor to its poller without synchronisation that the
// race detector knows of: Engine.opened stands for it.
//
// # Figures
//
// A Socket is 24 bytes, nbio's own connection 208 (ConnSize). A direct send that the
// scheduler does not hear of is a fifth cheaper than nbio's Write (Socket.Write).
package netpoll
