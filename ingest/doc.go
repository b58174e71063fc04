// Package ingest brings Kafka's records to the rooms. It owns the librdkafka consumers, hands
// records to ingest/route to be checked and routed, reads again for members that resume, and
// keeps dead letters. It knows neither sockets nor the demo (ingest/demo). ingest/jsonscan is the
// JSON scanner that ingest/route uses.
//
// It also writes. A Producer (publisher.go) is librdkafka's, with its events and log lines drained:
// dead letters and the demo use it. A Publisher stores one record at a time through
// a Producer and waits until it is stored: POST /publish of the internal port uses it.
//
// A reader here is a Kafka consumer with its goroutine, and a feed is a topic (rooms.Feed). The
// watcher looks after topics. consumer_health.go is for the server's watchdog, which counts a
// goroutine's turns: a batch, a request, a slice of a recall.
//
// # Routes
//
// A reader hands each record to its route.Decoder. The decoder adds it to the reader's batch,
// once for each room. A record that cannot be routed is counted by its reason, sampled into the
// log and sent to the dead letter topic. It never stops the stream, and its offset counts as
// progress. A record that no route matches is not a fault and is counted apart
// (Config.KeepUnmatched). A record in another partition than its route's partitioner says is
// misplaced: it is delivered, and counted (misplaced.go).
//
// # Reading
//
// A Consumer reads all partitions of all topics, in no group. Each partition belongs to one reader:
// a librdkafka consumer and the goroutine that polls it. A reader that polls is in C and keeps a
// processor, so it lets the appenders run before it polls again. The watcher is one goroutine. It
// looks at brokers and topics every MetadataEvery, and when a reader kicks it. It alone opens
// topics, hands out partitions and begins new epochs. Readers run its commands between two batches.
//
// Within a partition each record is routed exactly once, and in order:
//
//   - The next offset of a partition is ours (partition.read), never librdkafka's, and it
//     never goes back: a record that comes a second time is dropped. When in doubt, the
//     partition is assigned again at that offset.
//   - Ends of partitions are progress too, so that positions pass transaction markers and
//     the gaps of compaction.
//   - auto.offset.reset is "error". If retention deletes records before they are read, the
//     clients get a gap.
//   - A topic that was deleted and made again has another topic id, and so another epoch.
//     librdkafka goes on in the new topic at the offset that it had in the old one, and names
//     the new id only in a debug line. The reader waits for that line, and throws records away
//     until the watcher has decided (reader.logged). A log that became shorter begins a new
//     epoch too.
//   - A Consumer that is started again goes on at the offsets where the last one stopped
//     (Config.Progress).
//   - A topic that appears after our start, and partitions that are added, are read from
//     their beginning.
//
// # Who may touch what
//
//	reader, partition      the reader's goroutine, except fields that are atomic or under mu
//	poller, route.Decoder  the reader's goroutine
//	topic                  the watcher; others read the fields that mu guards
//	route.Router           anyone: it never changes
//	Progress               one Consumer at a time
//	Feed                   the watcher, through Open and its own batch
//	figures, sampler, misplaced, deadLetters  anyone
//	Publisher, Producer    anyone
//	recallLane, recallRead             the recaller's goroutine; while the lane reads, the lane's
//	recaller, recallTopic, recallUser  the recaller's goroutine, except fields that are atomic or under mu
//	handouts, lease, times             anyone
//	replicaReading, ReplicaTaker       the Replica's goroutine
//
// The bytes of a record are librdkafka's until the next poll. The decoder copies a value once,
// when a room takes it. The batch copies keys and names.
//
// # Reading again
//
// A member that resumes from a position older than the tapes asks for its room's records in a
// stretch of the topic (Consumer.Recall). One goroutine (recaller) gathers requests for 20 ms.
// It judges each alone, by the offsets that it lacks and the mean record. Does Kafka still have
// them? Does the user's budget (Config.RecallBytes, a minute's worth at most) ever allow them,
// and now? A refusal answers one request only.
//
// It reads in slices (recaller.slice). A turn belongs to one user: of those that had no turn in
// this round, the one that lacks least. Requests that lack about the same offsets join. They
// share the read and its cost. Records are kept for 30 s, within Config.RecallMemory. From a
// stretch of more than half of that, only the requested rooms are taken, and nothing is kept.
// Goroutines of their own ask Kafka for the ends of topics. A slice that brings nothing for a
// second ends, and its topic is left alone for a while. Slices are read in lanes (recallLane).
// Each lane has a librdkafka client, and a topic is in one lane only. So other topics go on
// while the brokers of one send nothing. A wildcard that resumes asks for names instead
// (wanted). It is answered after all slices, or once there are more names than it may
// join.
//
// A member gets the part of a slice that is its room's, and asks for more when it has been sent
// that (Past.UpTo). The rest waits for the user's budget and is not refused. Frames that members
// hold are counted by user (handouts), and bounded by as much memory again. At the bound,
// members that were sent nothing for 250 ms are asked to give theirs back. They ask again when
// their sockets take bytes.
//
// Positions at a time (Consumer.PositionsAt) come from Kafka's time index. At most four
// goroutines ask, once for all requests of the same tenth of a second. Users have turns. An
// answer is kept for 5 s. It also has the time since which nothing was deleted
// (times.wholeSince). An earlier time is too old, and the error has the oldest positions left.
//
// # Copies of small topics
//
// A Replica reads a compacted topic whole and follows it: revocations, for example. One goroutine
// polls and gives the records to a ReplicaTaker. Another looks once a second at the topic's id, its
// partitions and their ends. If the reading is in doubt (another id, other partitions, a log that was
// cut, offsets out of range, a partition that does not move), the topic is read again from its
// beginning with a new client. The taker builds that copy beside the old one. While the brokers are
// away the copy stays, and Stats says how old it may be.
//
// # Before a start
//
// CheckProperties asks librdkafka about each of the operator's properties, without a client.
// TryClients makes the clients of a Consumer and a Publisher (readerConf, recallConf,
// controlConf, publisherConf) and closes them. They know no broker. Connect tries brokers, topics
// and rights within a minute, with clients of its own. It runs on the caller's goroutine, but
// tries up to eight brokers at a time.
//
// # Figures
//
// Two cores, AMD EPYC, a broker in a process of its own, 1.5 million records of
// 128 B in three partitions, CPU of the whole process; medians of three runs of
//
//	go test ./ingest -run '^$' -bench 'PollBare|Ingest' -benchtime 1500000x -count 3
//
//	                    kfake            Apache Kafka (KAFKA_HOME set)
//	BenchmarkPollBare   1.00 us/record   1.14 us/record   the Go client's Poll and nothing else
//	BenchmarkIngest     0.84 us/record   0.93 us/record   polled, checked, routed to two rooms without members
//
// With the client's Poll BenchmarkIngest took 1.7 us instead of 0.84. Poll makes eight
// objects for each record, in two or more calls into C. The poller takes up to 256 records in
// one call and reads them in librdkafka's memory.
//
// librdkafka uses 0.9 of a CPU while it waits for a controller that is gone. So admin
// requests have short timeouts, and each look first asks for metadata (consumer_watch.go).
package ingest
