// Package loop owns connections: their memberships, passes, timers and closes. It knows
// nothing of Kafka, of the events' JSON, or of who may do what: it asks a Handler.
//
// # How a request passes through
//
// Package netpoll accepts a socket and asks whose it is (Engine.newConn): a Conn, which
// belongs to one Loop from then on. The gate counts it for its address (gate.go), and drops
// others where there are too many. A poller that finds input calls Conn.turn (input.go). What
// it read goes through as many steps as the connection has (Conn.arrived): package
// proxyheader finds the client's address where a balancer is trusted, TLS decrypts, and until
// the upgrade package upgrade reads the request. One that is in order goes to Handler.Open,
// whose Verdict becomes the answer; the loop sends it (life.upgraded), and then what the
// handler asked for meanwhile. From then on package wsread finds messages in the input, and
// tells them to the Conn (heard.go), which asks Handler.Admit and calls Handler.Message. What
// the handler wants of the connection, a join, a reply or a close, it posts to the loop's
// inbox. An upgrade that is refused takes the same way, and ends the connection.
//
// A new limit on sockets belongs into gate.go; one on what a client sends into pace.go,
// input.go or incoming.go.
//
// # The parts of a Loop
//
// A Loop is a goroutine, its inbox and what it hands events to, each with its own state:
//
//	life        the connections: how each comes, closes and goes
//	timers      the wheel of deadlines, drains, clients that are read later
//	heartbeats  pings, `positions` of quiet rooms, and clients that have gone silent
//	sender      one gathered send at a time, and the sockets that did not take all
//	passes      the large rooms that lack something; queue: the connections that do
//	counts      the figures
//	joining, leaving, wildcard   a request under way, and a wildcard
//
// # From a tape to a socket
//
// An appender tells the loop that a room has grown (inbox.grown). A room with
// few members is served at once; a large one gets a pass, which visits each
// member in slices of 500 µs, beginning with one drawn by lot. Events and those who
// catch up have slices, too, and between any two the members of small rooms are
// served (takeGrown), so a private message waits neither for the end of a pass nor for
// the thousands who come from a lost node. Such a visit sends 16 KB at most
// (maxUrgent), and replies, heartbeats and closes have a queue of their own behind it
// (owed): in a storm of 15,000 up to 217 of those were before private messages, of
// which 80 of some 1,100 took 20 ms and more from poll to send, and 4 since then (time
// stamps in a copy of the code; bench/RESULTS.md). A visit (flush) gathers all that the
// connection lacks: what waits in its outbox, and its rooms' frames straight
// from the tapes, in one system call. What the kernel does not take moves no
// cursor; of a frame that it cut, the remainder is kept (a copy, or for a large
// frame a reference), since nothing may be sent inside a frame. The socket's
// writability then comes through the loop's own epoll set, one-shot.
//
// What a member is sent next is package member's to say; a loop gathers it from one member
// after the other (gather). Few members want more than the live frames: a snapshot, some keys
// only, a rate, what came after a position; or they lag and are conflated. Such a member has an
// Extra for as long as that lasts; the others pay one flag for it. What a resumed member lacks
// and no tape holds is read
// again (Config.Recall): the first part before the join is answered, each further one when
// the part before was sent. For that, and when the tape has left it behind meanwhile, the
// member is given another seam (Rejoin). While its client takes nothing, others may take the
// part's memory back (takeBack): the member keeps its position, and asks again later.
//
// permessage-deflate is without context takeover both ways, so a connection holds
// nothing for it: deflated frames lie on the tapes, and what a client sends is
// inflated on the poller's goroutine (package wsread).
//
// A wildcard (wildcard.go) is a rooms.Watch of a connection; its members are ordinary ones
// that carry its id. A room that appears gets its member at once, and its `joined`
// notice when the client is sent to next, before the first frame: a client that does
// not read has no notices waiting for it. A membership for a wildcard that has
// been given up meanwhile is left again.
// A wildcard's own place (wildcard_place.go) is what the tapes of all shards have, less what its
// members lack, at each heartbeat and when somebody asks: a lower bound, for a look at each head.
// One that goes on from such a place (wildcard_since.go) watches first, then has the topic asked which
// rooms got something since (Recall.Names), unless all appenders know and the tapes reach back so
// far (rooms.Watch.Changed), and joins those from there. Trouble that passes
// joins none of its rooms, since each would begin with its next record.
//
// # Which goroutine may touch what
//
// A Loop's goroutine alone touches its connections' members, outbox, state and
// timers, and sends. A poller's goroutine reads one connection's input,
// decodes it, and calls the Handler; it posts what follows to the loop's inbox.
// Handlers and appenders post too. The inbox's lock is held for a few
// instructions, and none is taken for a delivered message but the Socket's, once a send.
//
// Only a connection's poller closes its descriptor, while it looks at that descriptor's own
// event (Conn.shut, package netpoll). A loop that wants a connection gone shuts the socket
// down, and the poller sees the end of its input. Events of sockets are one-shot; whoever
// reads asks for the next one.
//
// # Sockets that are not clients yet
//
// Every socket is counted for its address when it is accepted (gate.go), before anything
// of it is read; one of a trusted balancer as soon as its PROXY protocol header is (listen.go).
// Until its upgrade is granted it is half-open, and bounded apart: silent
// sockets take no client's place. At a bound the oldest socket of the address that has the
// most gives way (package crowd); so do clients that are being closed or have yet to
// authenticate. What is beyond a bound is told so by a 503 or a close frame, as long as
// there is not much of it.
//
// # Input
//
// A poller reads a connection a turn at a time: 32 KB, or for 500 us (turn). What comes
// more is read behind the others. Requests are the handler's to pace, which is asked before
// anything is done with one (Handler.Admit); control frames, small fragments and the like
// have a pace of their own (pace.go): over it the connection is read once a tick, far over
// it it is closed with 1008, and Handler.Flooded is told.
//
// What a connection's input puts into the inbox is bounded by maxUnhandled, and by what one
// read brings: then it is not read until the loop has come to an event behind all of that
// (pause, evPaused). Pings are one event, however many there are, and 4 KB of pongs. So an
// inbox holds at most the events of 32 messages of each connection, or of 64 KB of them, and
// those of one read: some hundreds, where messages are as short as can be, or the end of one
// as long as may be. Appenders post one answer to each request and one event a wildcard and
// room; acceptor and pollers post one that a connection came, and one that it is gone.
//
// A message may be longer once its client is authenticated (heard.Limits). One that has not
// all come stays with its connection's reader, which takes as much as has, and a TLS record
// with crypto/tls, which takes as much as its header says; all of these together have a
// bound (incoming.go).
//
// # TLS
//
// With Config.TLS the port is wss, and package tlsconn stands between the sockets and all
// else (secure.go). A client that begins with a letter speaks plain HTTP, and is told so in
// plain. Handshakes give way to passes (Loop.grown and passes.step tell of them), and end by the
// deadline of the upgrade. The loop encrypts what it gathered a record (16 KB) at a time, cut
// where a frame ends, and the next only when the ciphertext of the last is gone.
//
// # What a loop counts
//
// LoopStats are plain numbers of the loop's own, copied for others once a turn
// (counts.publish): no atomics, and no look at the clock beyond those that begin and end
// slices. How old a message is when it is sent (counts.aged) is the time at which the slice
// began less the timestamp that Kafka has of it, which its chunk holds; of a piece of
// many frames the first and the last are looked at, and count for half of them each.
// A visit costs some 60 ns more for the histograms and ages (BenchmarkVisit, 40 runs in
// turns with the commit before them: quartile 1.20 to 1.25 us with a frame to a send, 2.70 to
// 2.77 with 80), of 6 to 8 us over TCP; a turn 7 ns more (BenchmarkPublishStats). What members
// lack is not counted, but looked for when somebody asks (Engine.Lags), in steps of half a
// slice, at those connections that wait for something.
//
// # Figures
//
// Conn takes 224 bytes at most, and a member 24 (TestSizes); nbio's own Conn
// takes 208 (netpoll.ConnSize). TLS takes 3.1 KB more
// (package tlsconn). Ticks are 100 ms: that is the slack of every timer.
//
// A send is a raw system call, which the scheduler neither sees nor ends: a loop
// in a pass keeps its processor. Who runs loops gives the runtime processors
// beyond the machine's (cmd/tapecast does), or others wait for theirs up to 10 ms.
package loop
