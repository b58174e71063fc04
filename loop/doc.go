// Package loop owns connections: their memberships, passes, timers and closes. It knows nothing of
// Kafka, of the JSON of events, or of access rules: it asks a Handler.
//
// # How a request passes through
//
// Package netpoll accepts a socket and asks for its owner (Engine.newConn): a Conn, which belongs
// to one Loop from then on. The gate counts it for its address (gate.go), and drops others if there
// are too many. A poller that finds input calls Conn.turn (input.go). The bytes go through as many
// steps as the connection needs (arrived.go). Package proxyheader finds the client's address if a
// balancer is trusted, package tlsconn decrypts, and package upgrade reads the request. A valid
// request goes to Handler.Open, whose Verdict becomes the answer. The loop sends it
// (life.upgraded), and then what the handler asked for meanwhile. From then on package wsread finds
// messages in the input and passes them to the Conn (heard.go), which asks Handler.Admit and calls
// Handler.Message. What the handler wants for the connection, such as a join, a reply or a close,
// it posts to the loop's inbox. A refused upgrade takes the same way and ends the connection.
//
// A new limit on sockets belongs in gate.go, one on a connection's bytes or frames in pace.go,
// input.go or incoming.go, and one on what a user, an address or a request costs in server/limits.
//
// # The parts of a Loop
//
// A Loop (loop.go) is a goroutine, its inbox (inbox.go) and the parts that handle events, each with
// its own state:
//
//	life.go      life: the connections (conn.go), how each opens, closes and ends
//	timers.go    timers: deadlines (wheel.go), drains, clients that are read later
//	pings.go     pings: `positions` of quiet rooms or WebSocket pings, and silent clients
//	send.go      sender: one gathered send at a time, and the sockets that did not take all
//	audience.go  passes: the large rooms that have something to send; queue: such connections
//	stats.go     counts: the figures; walks.go looks for members that lag
//	meter.go     meter: bytes a second that a connection is sent
//	members.go   a Join, Leave or List under way; join.go and recall.go are the steps of a join
//	wildcard.go  a wildcard; wildcard_found.go has its rooms: those of its join, and those that appear
//
// A turn is what a goroutine does between two looks at everything: a loop's is one round of its
// parts, a poller's is the input of one connection. engine.go has the heartbeats that count
// turns. A slice is the time that a loop gives one kind of work within a turn. A feed is a topic
// (rooms.Feed), a watch is a wildcard's (rooms.Watch), and a reader makes messages of a client's
// bytes (wsread.Reader).
//
// # From a tape to a socket
//
// An appender tells the loop that a room has grown (inbox.grown). A small room is served at once. A
// large one gets a pass, which visits its members in slices of 500 µs, starting with a random one.
// Events and members that catch up have slices too. Between any two slices the members of small
// rooms are served (takeGrown), so a private message waits neither for the end of a pass nor for
// the thousands that come from a lost node. Such a visit sends 16 KB at most (maxUrgent). Replies,
// pings and closes have a queue of their own after it (owed). Without that queue, in a storm of
// 15,000 clients, up to 217 replies, pings and closes were sent before private messages: 80 of some
// 1,100 private messages took 20 ms and more from poll to send. With the queue 4 take that long
// (time stamps in a copy of the code; bench/RESULTS.md).
//
// A visit (flush) gathers everything that the connection lacks: what waits in its outbox, and
// frames of its rooms straight from the tapes, in one system call. What the kernel does not take
// moves no cursor. If it took a part of a frame, the cursor passes that frame, and the rest of it
// is kept (a copy, or for a large frame a reference), since nothing may be sent inside a frame. The
// loop's own epoll set reports once when the socket is writable again.
//
// Package member decides what a member is sent next, and a loop gathers it from one member after
// the other (gather). Few members need more than the live frames: a snapshot, some keys only, a
// rate, what came after a position; or they lag and are conflated. Such a member has an Extra for
// as long as that lasts. The others pay one flag for it. A member that resumes may lack frames that
// no tape holds. They are read again (Config.Recall): the first part before the join is answered,
// each further part when the one before was sent. For each part, and when the tape has dropped the
// member's next frames meanwhile, the member gets another seam (Rejoin). Beyond a connection's budget
// (Config.RecallBegins) a join is refused for now, and a member asks again later. The rooms of a connection
// with a budget are read one after the other. While a client takes nothing, others may take the memory of
// its part back (takeBack), and after ten seconds in any case. The member then keeps its position and asks
// again later.
//
// A connection may have a limit of bytes a second (meter.go, Config.BytesPerSecond). When it is used up,
// visits leave the rooms alone until a tick at which a tenth of a second's worth may be sent again. The
// cursors stay, so that what becomes of members that lag is up to their class, as if the client did not
// read. The others pay nothing for it: a visit looks at their flags anyway.
//
// permessage-deflate is without context takeover in both directions, so a connection holds nothing
// for it. Deflated frames lie on the tapes, and a client's messages are inflated on the poller's
// goroutine (package wsread).
//
// A wildcard (wildcard.go) is a rooms.Watch of a connection. Package member has its rules: which
// rooms it stands for, what it lacks, its own positions. The loop asks for what the rules want to
// know, and takes the answers back to them. The wildcard's members are ordinary members that carry
// its id. A room that appears gets its member at once. Its `joined` notice is sent before its first
// frame, when the client is next sent to, so a client that does not read has no notices waiting for
// it. If the wildcard has been given up meanwhile, the membership is left again.
//
// # Streams of events
//
// A client on whose way WebSocket is blocked asks for server-sent events (Config.Stream). Package
// upgrade reads its request with the body, Handler.Open is asked for a verdict, and from then on it is a
// connection like the others, with two differences (stream.go). What it is sent is made into events: texts
// when they are put into the outbox, and frames of rooms when they are gathered, unless the room has a
// tape of events. And it says nothing:
// its input is discarded, and the kernel finds out that it is gone (TCP_USER_TIMEOUT).
//
// # Which goroutine may touch what
//
// A Loop's goroutine alone touches its connections' members, outbox, state and timers, and sends
// messages. A poller's goroutine reads a connection's input, decodes it, and calls the Handler. It
// posts the results to the loop's inbox. Handlers and appenders post too. The inbox's lock is held
// for a few instructions. A delivered message takes no lock except the Socket's, once a send.
//
// Only a connection's poller closes its descriptor, while it handles an event of that descriptor
// (Conn.shut, package netpoll). A loop that wants a connection to end shuts the socket down, and
// the poller sees the end of its input. Events of sockets are one-shot: the reader asks for the
// next one.
//
// # Sockets that are not clients yet
//
// Every socket is counted for its address when it is accepted (gate.go), before any of its bytes is
// read. A socket of a trusted balancer is counted as soon as its PROXY protocol header is read
// (listen.go). Until its upgrade is granted a socket is half-open. Half-open sockets have a bound
// of their own, so silent sockets never keep clients out. At a bound the oldest socket of the
// address with the most gives way (package crowd). So do clients that are being closed or have yet
// to authenticate. A socket beyond a bound is told by a 503 or a close frame, as long as there are
// few of them.
//
// # Input
//
// A poller reads a connection one turn at a time: 32 KB, or 500 µs (turn). Further input is read
// after that of the other connections. The handler paces requests: it is asked before anything is
// done with one (Handler.Admit). Control frames, small fragments and the like have a pace of their
// own (pace.go), at which the connection is read less often or closed (Handler.Flooded).
//
// What a connection's input puts into the inbox is bounded by maxUnhandled, plus what one read
// brings. At the bound the connection is not read until the loop has handled an event after all of
// that (pause, evPaused). Pings are one event, however many there are, with 4 KB of pongs. So an
// inbox holds for each connection at most the events of 32 messages, or of 64 KB of messages, plus
// those of one read. One read brings some hundreds of the shortest messages, or the end of one of
// the longest. Appenders post one answer to each request, and one event for each wildcard and room.
// The acceptor and the pollers post one event when a connection opens and one when it is gone.
//
// A message may be longer once its client is authenticated (heard.Limits). An incomplete message
// stays with its connection's reader, which takes only as much memory as has come. An incomplete
// TLS record stays with crypto/tls, which takes as much as the record's header says. The sum of
// both, over all connections, is bounded (incoming.go).
//
// # TLS
//
// With Config.TLS the port is wss, and package tlsconn stands between the sockets and everything
// else (secure.go). A client whose first byte is a letter speaks plain HTTP, and gets a plain
// answer. Handshakes give way to passes (Loop.grown and passes.step report them), and must end by
// the deadline of the upgrade. A record that the loop encrypts is cut at the end of a frame.
//
// # What a loop counts
//
// LoopStats are plain numbers of the loop, copied for others once a turn (counts.publish): no
// atomics, and no look at the clock besides those at the start and end of slices. The age of a
// message when it is sent (counts.aged) is the start of the slice minus Kafka's timestamp of the
// message, which its chunk holds. In a piece of many frames only the first and the last are looked
// at, and each counts for half of the frames. Histograms and ages add about 60 ns to a visit
// (BenchmarkVisit, 40 runs in turns with the commit before them: quartile 1.20 to 1.25 µs with a
// frame to a send, 2.70 to 2.77 with 80), which with all that it sends over TCP takes 6 to 8 µs.
// They add 7 ns to a turn (BenchmarkPublishStats). What members lack is not counted all the time.
// Engine.Lags looks for it at connections that wait for something, half a slice at a time.
//
// # Figures
//
// Conn takes 224 bytes at most, and a member 24 (TestSizes); nbio's own Conn takes 208
// (netpoll.ConnSize). TLS takes 3.1 KB more (package tlsconn). Ticks are 100 ms: that is the slack
// of every timer.
//
// A send is a raw system call, which the scheduler does not see: a loop in a pass keeps its
// processor. A program that runs loops must give the runtime processors beyond the machine's
// (cmd/tapecast does), or other goroutines wait up to 10 ms for one.
package loop
