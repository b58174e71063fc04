// Package bench loads a gateway with WebSocket clients, and measures what they get and
// what it costs. It imports nothing of the gateway but the charts of its pages. It speaks
// the wire protocol, Kafka, /metrics and, with Direct, POST /debug/append. To other servers
// it speaks their protocols.
//
// This package has the scenarios, the target and the reports. The parts lie beside it:
//
//	job      what the processes say to each other: orders, tallies, schedule, value
//	worker   the process that holds clients
//	pool     starts workers, here or on other machines, and talks to them
//	publish  sends messages when they are due: to the gateway, Kafka, NATS, Centrifugo
//	hostile  the process that attacks; client is one blocking connection of it
//	rawsend  the baseline: the cheapest way to send a message to many sockets
//	resumes  the scenario of clients that read again from Kafka
//	plan     calibration, model, planner
//	proto, machine, scrape, text, link: frames, clocks, metrics, tables, slow links
//	peers    a module of its own: other servers, measured beside the gateway
//
// A feed here is a run of messages with numbers of its own, published by one goroutine. A turn is
// one poll of a worker's loop. A run's readers are its ordinary clients, as opposed to the slow,
// the stalled and the hostile ones. In package worker a reader splits bytes into frames.
//
// # What is measured
//
// A run is open loop. A Schedule, a pure function of the message's number, says when each
// message is due. Latency is counted from then until the client has read the message. A
// late publisher or a slow client makes it longer, never shorter. Both are measured on
// their own, and a run in which they matter ends with an InvalidError. A message carries
// its due time and its number. So each client knows what it has missed, got twice or got
// out of order, whatever the gateway says. A frame that is not a message that was sent ends
// its connection and is counted as invalid.
//
// Each scenario is a subcommand of tapecast-bench. Those of the first group are a
// FanoutConfig:
//
//	fanout     rooms that all clients share: the rate, and what a message costs
//	keyed      many rooms of a few clients each
//	private    orders to single users: the worst case for any batching
//	mixed      a trading day: shared rooms, symbols by popularity, own orders
//	replay     a recording at its own pace or a multiple of it: real sizes, keys, bursts
//	slow       clients that stop reading, or read slowly, beside clients that keep up
//	churn      clients that leave their rooms and come back
//	storm      all connections are lost at once
//	abuse      hostile clients do harm beside ordinary ones
//	soak       a long run: does memory grow
//
//	observe    the traffic that a gateway has: nothing is published
//	ramp       fanouts whose rate or clients grow up to the knee
//	idle       memory of idle connections
//	handshake  latency and CPU of connects
//	resumes    clients that resume from what only Kafka still has, beside greedy ones
//	passorder  whether chance decides which member gets a message first and last
//
// To add a scenario that differs only in who shares a room and what is sent, add a command to
// cmd/tapecast-bench that fills a FanoutConfig (measure.go there). If
// something happens to the clients meanwhile, it also needs a field of FanoutConfig, its check
// (fanout_check.go), and an incident in package worker, as those of slow, churn, storm and abuse.
// Any other scenario is a file here (handshake.go is a short one) or a package (resumes): a config
// with a check, a function that runs it, a result that writes itself as text. Its command is a file
// of cmd/tapecast-bench. There every command is named in a group of main.go, and has its words in
// commands.txt.
//
// A file in bench/scenarios holds a command's flags, so that a load with a meaning (a trading day,
// a published test) is measured in the same way again: tapecast-bench run FILE.yaml.
//
// Rates and CPU are those of the window. It begins after the warmup and is Duration long.
// Loss and order are checked over everything, with stragglers. The gateway's CPU time and
// memory come from its /metrics. Their resolution is 10 ms, so the error of a window of ten
// seconds is a thousandth.
//
// # Recordings, envelopes, last values
//
// A replay publishes a recording. Each value keeps its bytes and its key, and gets due time,
// number and a checksum at its end. Clients get the round (job.Round) with their job, but not
// the values, so the checksum is their proof. With an envelope of the user's around each
// value (job.ValueTemplate), clients search each message for the value.
//
// If the gateway counts refused records meanwhile, the report names them as the cause of
// losses. A class that conflates promises the newest message of each key, not every message.
// So last values that clients are sent when they come back are not counted, and clients that
// resume in such rooms are refused (checkChained).
//
// # Hostile clients
//
// An abuse is a fanout whose clients also ping, by a schedule. Newcomers connect meanwhile.
// Hostile clients live in a process of their own, so its garbage collection and its CPU are
// in no figure. In a paired run they first attack a sink, which answers the upgrade, reads and
// discards. What is worse at the gateway is caused by the gateway. Kinds that wait for answers
// get none from the sink, and do almost nothing there. A reset may lose the close frame before
// a hostile client reads it. So the gateway's counters are the best record of how they were
// closed. Only 127.0.0.1 is attacked.
//
// # Other servers
//
// The same clients measure other servers: Job.Protocol names what they speak. A message is
// the same value everywhere. It is published through the server's own port
// (Target.Publish). If a server has no /metrics of the known form, its CPU and memory are
// those of its process in /proc (Target.Admin, pid:N). See also the module bench/peers.
//
// # Processes and goroutines
//
// The process that the user starts publishes, reads metrics and reports. Clients live in
// worker processes. One process may not have descriptors for all of them, and their CPU
// time must not count as the gateway's. A worker ends when its parent does.
//
//   - pool.Workers, fanoutRun: the goroutine that runs the scenario.
//   - follower: a goroutine of its own from the first message to the last. It owns the
//     readers' Workers meanwhile. The publisher leaves its lag in an atomic.
//   - Progress: any goroutine; a lock around each line.
//   - Publication and its sink: the publisher's goroutine, locked to its thread.
//   - newcomers: a goroutine for each. Health and memory have a goroutine each during an
//     abuse. They are joined before anything is reported.
//   - recording, job.Round: they do not change once made; any goroutine reads them.
//
// All processes of a machine share CLOCK_MONOTONIC. Once a run, one of them ties it to the
// wall clock, and hands the difference to the others. Workers on other machines get times
// by their own clock (package pool).
//
// # Timeline
//
// During a run the parent asks the workers for what came since it last asked
// (job.Interval): the differences of the counters, and the histogram of latencies, which
// moves into the sum and starts empty. So a data frame costs no more than without
// intervals, and the intervals add up to the run exactly.
//
// # Figures behind the odd numbers
//
// Measured on 2 cores of an EPYC, everything on loopback, one core for the clients.
//
//   - The reader takes 70 M frames of 128 B a second from memory, and 30 M with every byte
//     checked (6 M with the chain of envelopes): BenchmarkRead of package worker. Header,
//     number and histogram are 14 ns. The due time is read from the first frame of a
//     buffer. For the others it follows from the number.
//   - An interval costs a worker 0.33 ms with its JSON (BenchmarkInterval), so 0.03 % of its
//     core once a second. A look at /metrics costs the gateway 0.9 ms of CPU time, 0.1 % of
//     a core (1,000 in a row). CPU per message includes that.
//   - From sockets, 16 M frames a second to 10,000 clients use 0.55 to 0.9 of a core. What
//     the gateway sends a client in a pass costs one edge-triggered event and one read of up
//     to 256 KB.
//   - Pace, 1 ms by default: every send wakes a client that sleeps in epoll_wait, and the
//     sender pays for the wake-up. That is 8.3 µs a message instead of 6.9 for rawsend to
//     10,000 sockets, 5 messages a second. Clients on other machines would cost the sender
//     nothing, so the loop looks once a millisecond instead, and that counts as latency.
//     For single messages (orders) the loop does wait for each event.
//   - One client in 128 reads with recvmsg and the kernel's receive time
//     (SO_TIMESTAMPNS). That shows the loop's own lag exactly, but recvmsg costs more than
//     read. To find the order of members in a pass, all clients read in this way: epoll's
//     order is that of the ready list, and does not show it.
package bench
