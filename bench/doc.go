// Package bench loads a gateway with WebSocket clients, and measures what they get and
// what it costs. It imports nothing of the gateway but the charts of its pages: it speaks
// the wire protocol, Kafka, /metrics and, with Direct, POST /debug/append. To other
// servers it speaks their protocols.
//
// This package has the scenarios, the target and the reports. The parts lie beside it:
//
//	job      what the processes say to each other: orders, tallies, schedule, value
//	worker   the process that holds clients
//	pool     starts workers, here or on other machines, and talks to them
//	publish  sends messages when they are due: to the gateway, Kafka, NATS, Centrifugo
//	hostile  the process that attacks; client is one blocking connection of it
//	rawsend  the baseline: the least that can send a message to many sockets
//	resumes  the scenario of clients that read again from Kafka
//	plan     calibration, model, planner
//	proto, machine, scrape, text, link: frames, clocks, metrics, tables, slow links
//
// # What is measured
//
// A run is open loop: a Schedule, a pure function of the message's number, says
// when each message is due, and latency is counted from then until the client
// has read it. A publisher that is late, or a client that is slow to read, makes
// it longer, never shorter. Both are measured on their own, and a run in which
// they matter ends with an InvalidError. A message carries its due time and its
// number, so each client knows what it has missed, got twice or got in the
// wrong order, whatever the gateway says. A frame that is not a message that was
// sent ends its connection and is counted as invalid.
//
// Each scenario is a subcommand of tapecast-bench. Those of the first group are
// a FanoutConfig:
//
//	fanout     rooms that all clients share: the rate, and what a message costs
//	keyed      many rooms of a few clients each
//	private    orders to single users: the worst case for every batching
//	mixed      a trading day: shared rooms, symbols by popularity, own orders
//	replay     a recording at its own pace or a multiple of it: real sizes, keys, bursts
//	slow       clients that stop reading, or read slowly, beside clients that keep up
//	churn      clients that leave their rooms and come back
//	storm      all connections are lost at once
//	abuse      hostile clients do harm beside ordinary ones
//	soak       a long run: does memory grow
//
//	observe    whatever traffic a gateway has: nothing is published
//	ramp       fanouts whose rate or clients grow up to the knee
//	idle       memory of connections that have nothing to do
//	handshake  latency and CPU of connects
//	resumes    clients that go on from what only Kafka still has, beside greedy ones
//	passorder  whether it is chance who gets a message first and last
//
// A new one is a config with a check, a function that runs it, a result that writes
// itself as text, and a file in cmd/tapecast-bench.
//
// Rates and CPU are of the window, which begins after the warmup and is Duration long.
// Loss and order are checked over everything, stragglers included. The gateway's
// CPU time and memory come from its /metrics. Their resolution is 10 ms, so a
// window of ten seconds errs by a thousandth.
//
// # Recordings, envelopes, last values
//
// A replay publishes a recording: each value keeps its bytes and its key, and gets
// due time, number and a checksum at its end. The round of the recording says when each
// message is due and to which key it falls. It goes to the clients with their job, so a
// Schedule and an Assignment are functions of the number there too. Of the values
// clients know the checksum only. Where a round follows a round, the last record's time
// to the next one is what a record has in the mean.
//
// A value may stand in an envelope of the user's (job.ValueTemplate). Then it is
// looked for in each message. Records that the gateway counts as refused meanwhile are
// named as the cause of what was lost. Rooms whose class conflates promise the newest of
// each key and not each message. So last values that clients are sent when they come back
// are not counted, and clients that resume there are refused (checkChained).
//
// Observe times messages by their ts, the record's time in Kafka in ms, against this
// machine's clock, and follows prev where the answer to `subscribe` says chain.
//
// # Hostile clients
//
// An abuse is a fanout whose clients also ping, by a schedule: an answer that
// is late is late from when the ping was due, and so are those behind it. Newcomers
// connect meanwhile, each timed from due to the gateway's first message. Hostile
// clients live in a process of their own, whose collector and whose cores
// are in no clock. The ordinary clients' loops run before it, where that is
// allowed. In a paired run the same process attacks a sink first, which answers the
// upgrade, reads and discards: what is worse at the gateway is the gateway's doing.
// Kinds that wait for answers get none there, and do next to nothing. What
// hostile clients read of a close frame may be lost to a reset, so how they were closed
// is best seen in what the gateway counted. Only 127.0.0.1 is attacked.
//
// # Other servers
//
// The same clients measure other servers: Job.Protocol names what they speak. A message
// is the same value everywhere. Messages are published by the server's own port
// (Target.Publish). What a server uses is what its process uses, by /proc, where it has
// no /metrics of the known form (Target.Admin, pid:N). The module bench/peers has small
// servers on several libraries, which take POST /debug/append as the gateway does.
//
// # Processes and goroutines
//
// The process that was called publishes, reads metrics and reports. Clients live
// in worker processes, because one process may not have descriptors for all
// of them, and because their CPU time is not the gateway's. The parent tells
// them what to do by JSON on their standard input, one order and one answer at a
// time. A worker that loses its parent ends.
//
//   - pool.Workers, fanoutRun: the goroutine that runs the scenario.
//   - follower: a goroutine of its own from the first message to the last. It owns the
//     readers' Workers meanwhile; the publisher leaves its lag in an atomic.
//   - Progress: any goroutine; a lock around each line.
//   - Publication and its sink: the publisher's goroutine, locked to its thread.
//   - newcomers: a goroutine for each. What looks at health and memory during an abuse
//     has a goroutine each, joined before anything is reported.
//   - recording, job.Round: not written once made; any goroutine reads them.
//
// All processes of a machine share CLOCK_MONOTONIC. One of them ties it to the wall
// clock, once a run, and hands the difference to the others. Workers on other machines
// are given times by their own clock (package pool).
//
// # Timeline, files and pages
//
// While a run goes on, the parent asks the workers for what came since it asked
// before (job.Interval): the counters' differences, and the latencies' histogram, which
// moves into the sum and begins again. So a data frame costs what it cost before, a
// worker keeps one interval however long the run is, and the intervals add up to the
// run exactly. An answer that is late makes its interval longer; rates are by its
// own length. The gateway's metrics are read once a second at most.
//
// WriteJSON puts the version, the command without its secrets and the machine before
// a result; Compare reads two such files. Pages hold their charts (server/web/chart)
// and load nothing.
//
// # Figures behind the odd numbers
//
// Measured on 2 cores of an EPYC, everything on loopback, one core for the
// clients.
//
//   - The reader takes 70 M frames of 128 B a second from memory, and 30 M with
//     every byte checked (6 M with the chain of envelopes): BenchmarkRead of package worker. Header,
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
