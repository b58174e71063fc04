// Package netpoll is nbio (v1.6.12) behind one door: it listens, accepts, reports that a socket is
// readable, and closes it. No other package of ours imports nbio. It calls its owner through the
// functions of Config, and the owner has a Socket for each connection.
//
// # What is left of nbio
//
// nbio accepts, watches and reports. It neither reads, writes nor closes: it leaves a descriptor to
// us if it is not a connection of the standard library (TestNbioLeavesTheDescriptorToUs), so what
// it gets from Accept is bare. Its own Write copies what the kernel does not take into a buffer
// without a limit, and its Writev loses that data (TestNbioWritevLosesData). Its events are
// one-shot: each is reported once, and again only when the owner asks for it (Socket.Again), which
// puts the connection after all that wait already. Level-triggered events would come all the time
// while a client is not read on purpose. nbio forgets a connection right after an event that
// reports that the peer is gone. The owner must then read all that it wants, and close.
//
// # How a connection passes through
//
// The acceptor's goroutine waits until the owner has room (Config.AwaitRoom), accepts a bare
// descriptor, and asks for its owner (Config.Accepted). nbio duplicates the descriptor, the Socket
// gets the duplicate, and the owner is told (Config.Opened) before any poller watches it. From then
// on one poller calls Config.Readable when there is input. It is always the same poller for a
// connection.
//
// # Which goroutine may touch what
//
// A Socket's lock prevents its descriptor from being closed, and the number from being used again,
// while a goroutine sends to it or reads from it. Any goroutine may write, look or shut down. Only
// the poller closes a descriptor, while it handles an event of that descriptor, so an event of the
// same batch can never reach another connection with the same number. A goroutine that wants a
// connection to end shuts the socket down, and the poller sees the end of its input.
//
// nbio hands a connection from the acceptor to its poller without synchronisation that the race
// detector knows. Engine.opened adds it.
//
// # Figures
//
// A Socket is 24 bytes, and nbio's own connection 208 (ConnSize). A direct send without the
// scheduler is a fifth cheaper than nbio's Write (Socket.Write).
package netpoll
