// Package bench loads a gateway with WebSocket clients and measures what they
// get and what it costs. It imports nothing of the gateway: it speaks the wire
// protocol, Kafka, /metrics and, with Direct, POST /debug/append; and to other
// servers what they speak.
//
// # What is measured
//
// A run is open loop: a Schedule, a pure function of the message's number, says
// when each message is due, and latency is counted from then until the client
// has read it. A publisher that is late, or a client that is slow to read, makes
// it longer, never shorter; both are measured on their own, and a run in which
// they matter ends with an InvalidError. A message carries its due time and its
// number, so that each client knows what it has missed, got twice or got in the
// wrong order, whatever the gateway says (tally). A frame that is no message
// that was sent ends its connection and is counted as invalid.
//
// The scenarios, each a subcommand of tapecast-bench; those of the first group are
// a FanoutConfig:
//
//	fanout     rooms that all clients share: the rate, and what a message costs
//	keyed      many rooms of a few clients each
//	private    orders to single users: the worst case for every batching
//	mixed      a trading day: shared rooms, symbols by popularity, own orders
//	replay     a recording at its own pace or a multiple of it: real sizes, keys, bursts
//	slow       clients that stop reading, or read slowly, beside those who keep up
//	churn      clients that leave their rooms and come back
//	storm      all connections are lost at once
//	abuse      hostile clients do harm beside ordinary ones
//	soak       a long run: does memory grow
//
//	observe    whatever traffic a gateway has: nothing is published
//	ramp       fanouts whose rate or clients grow up to the knee
//	idle       memory of connections that have nothing to do
//	handshake  latency and CPU of comings
//	resumes    clients that go on from what only Kafka still has, beside greedy ones
//	passorder  whether the first and the last to get a message are so by chance
//
// What counts for rates and CPU is the window: after the warmup, Duration long.
// Loss and order are checked over everything, stragglers included. The gateway's
// CPU time and memory come from its /metrics; its resolution is 10 ms, so that a
// window of ten seconds errs by a thousandth.
//
// A replay publishes a recording: each value keeps its bytes and its key, and gets
// due time, number and a checksum at its end (value.go). The round of the recording,
// when each message is due and to which key it falls, goes to the clients with their
// job, so that a Schedule and a deal are functions of the number there too; of the
// values they know the checksum only. In a row of rounds the last record's time to
// the next one is what a record has in the mean.
//
// A value may have an envelope of somebody's own around it (valueTemplate); then it is
// looked for in each message. Records that the gateway counts as refused meanwhile are the
// cause that is given for what was lost. Rooms whose class conflates promise the newest of
// each key and not each message: last values that clients are sent when they come back are
// not counted, and clients that resume there are refused (checkChained).
//
// Observe times messages by their ts, the record's time in Kafka in ms, against this
// machine's clock, and follows prev where the answer to `subscribe` says chain (observer).
//
// # Hostile clients
//
// An abuse is a fanout whose clients also ping, by a schedule (pinger): an answer that
// is late is late from when the ping was due, and so are those behind it. Newcomers
// connect meanwhile, each timed from due to the gateway's first message. Hostile
// clients live in a process of their own (Hostile), whose collector and whose cores
// are in nobody's clock; the ordinary clients' loops run before it, where that is
// allowed. In a paired run the same process writes to a sink (HostileSink) first,
// which answers the upgrade, reads and discards: what is worse at the gateway is the
// gateway's. Kinds that wait for answers have none there, and do next to nothing. What
// hostile clients read of a close frame may be lost to a reset, so how they were closed
// is best seen in what the gateway counted. Only 127.0.0.1 is attacked.
//
// Resumes has honest clients go on from places that the gateway has to read again from
// Kafka, each timed from due until it has every record; hostile processes do the kinds
// resume and stalled meanwhile, a process for each that stalls, so that each is a user of
// its own. A client that is told to ask again later does so, and its clock runs on.
//
// # Other servers
//
// The same clients measure other servers: Job.Protocol names what they speak, and
// each protocol is a speaker of its own (speak_*.go), which says what is sent after
// the upgrade, when a client is in, and where a frame has its values. A message is
// the same value everywhere. tapecast's frames, one message each with the value at
// its end, the reader takes by itself; a framer takes apart what others send:
// Centrifugo's lines, NATS' stream, a plain message with its value anywhere. They
// are published by the server's own port (Target.Publish), and what a server uses
// is its process's, by /proc, where it has no /metrics of the known form
// (Target.Admin, pid:N). The module bench/peers has small servers on several
// libraries, which take POST /debug/append as the gateway does.
//
// # Processes and goroutines
//
// The process that was called publishes, reads metrics and reports. Clients live
// in worker processes (Worker), since a process may not have descriptors for all
// of them, and since their CPU time is none of the gateway's; the parent tells
// them what to do by JSON on their standard input, one order and one answer at a
// time (job.go). A worker that loses its parent ends.
//
//   - loop, client, reader, speaker, tally, chain, arrivals, stamper: owned by the one
//     goroutine of a worker, which is locked to its thread; no goroutine and no
//     net.Conn per client. Only loop.wakeUp may be called by another.
//   - crew, fanoutRun: the goroutine that runs the scenario.
//   - follower: a goroutine of its own from the first message to the last, which has
//     the crew of readers meanwhile; the publisher leaves its lag in an atomic.
//   - Progress: any goroutine; a lock around each line.
//   - publication and its sink: the goroutine of the publisher, locked to a thread
//     that is given real-time priority where that is allowed. Kafka's delivery
//     reports are counted on another, as a NATS server's answers are.
//   - wire: a client's TLS, the loop's, but for its handshake, which runs on a
//     goroutine of its own while the loop leaves the client alone.
//   - link: two goroutines a direction carry packets between two namespaces.
//   - rawsend: the one goroutine of its process.
//   - hostile: a goroutine for each connection, which writes, and one more where it
//     reads meanwhile; the tally behind a lock, once a connection. hostileSink: a
//     goroutine for each connection.
//   - resumers: a goroutine for each, of the process that was called; what they got behind
//     a lock, once a client. greedyOnes: a goroutine a process, joined before it is read.
//   - newcomers: a goroutine for each, of the process that was called; abuse's looks at
//     health and memory: one each, joined before anything is reported.
//   - round: nobody writes it once it is made; the publisher, or a worker's loop, reads it.
//   - Hist: whoever records into it; those of several workers are merged in the end.
//
// All processes of a machine share CLOCK_MONOTONIC. One of them ties it to the wall
// clock, once a run, and hands the difference to the others. Workers on other machines
// (Agent) are given times by their own clock: it is asked 64 times, and of the answer
// that came fastest half the time is how much it may be off.
//
// # Planning
//
// Calibrate measures twenty-one loads, the last of them more than a loop can send, and
// fits a Model to what the gateway's CPU and counters say of them: least squares,
// errors as shares, no cost below nothing. A
// Model's Predict is arithmetic (model.go); NewPlan searches for the fewest nodes that
// no Limit is passed on. Check measures loads that the calibration has not seen.
//
// A virtual machine takes up to a fifth more CPU for the same work in one minute than in
// another. So a reference load is measured before and after each point (ruler), points
// count by what a send of it took, and what Check says is of a machine as slow as it was just then;
// what the calibration says without that stands beside it.
//
// Deflated frames are the same for all clients of a room, so each is inflated once
// a worker and recognised by its bytes after that (inflater).
//
// # Timeline, files and pages
//
// While a run goes on, the parent asks the workers for what came since it asked
// before (interval): the counters' differences, and the latencies' histogram, which
// moves into the sum and begins anew. So a data frame costs what it cost before, a
// worker keeps one interval however long the run is, and the intervals add up to the
// run exactly. An answer that is late makes its interval longer; rates are by its
// own length. The gateway's metrics are read once a second at most.
//
// WriteJSON puts the version, the command without its secrets and the machine before
// a result; Compare reads two such files. The pages hold their charts' library
// (uPlot, in uplot/ with its licence) and load nothing.
//
// # Figures behind the odd numbers
//
// Measured on 2 cores of an EPYC, everything on loopback, one core for the
// clients.
//
//   - The reader takes 70 M frames of 128 B a second from memory, and 30 M with
//     every byte checked (6 M with the chain of envelopes): BenchmarkRead. Header,
//     number and histogram are 14 ns; the due time is read from the first frame of
//     a buffer and follows from the number for the rest.
//   - An interval costs a worker 0.33 ms, its JSON included (BenchmarkInterval), so
//     0.03 % of its core once a second; a look at /metrics costs the gateway 0.9 ms of
//     CPU time, 0.1 % of a core (1,000 in a row). CPU per message holds the latter.
//   - From sockets, 16 M frames a second to 10,000 clients use 0.55 to 0.9 of a
//     core: one edge-triggered event and one read of up to 256 KB for each of what
//     the gateway sends in a pass.
//   - Pace, 1 ms by default: a client that sleeps in epoll_wait is woken by every
//     send, and the sender pays for the wake-up: 8.3 µs a message instead of 6.9 for
//     rawsend to 10,000 sockets, 5 messages a second. Clients on other machines cost
//     it none, so the loop looks once a millisecond instead; that is counted as
//     latency. For single messages (orders) the loop does wait for each event.
//   - One client in 128 reads with recvmsg and the kernel's receive time
//     (SO_TIMESTAMPNS), which shows the loop's own lag exactly; recvmsg costs more
//     than read. Which member of a pass is first is asked of all clients in this
//     way: epoll's order is that of the ready list, and says nothing of it.
package bench
