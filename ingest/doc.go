// Package ingest brings Kafka's records to the rooms: it owns the librdkafka
// consumers, has records checked and routed (ingest/route), reads again what members
// resume from, and keeps dead letters. It has a publisher and a producer too. It knows no
// sockets, and nothing of the demo (ingest/demo).
//
// # Routes
//
// A reader hands each record to its route.Decoder, which adds it to the reader's batch, once
// for each room. A record that cannot be routed is counted by its reason, sampled into the log
// and sent to the dead letter topic; it never stops the stream, and its offset counts as
// progress. One that no route names is for nobody, which is no fault: it is counted apart
// (Config.KeepUnmatched). Records that lie in another partition than their route's partitioner
// says are delivered, and counted (strays).
//
// # Reading
//
// A Consumer reads all partitions of all topics, in no group. Each partition
// belongs to one reader: a librdkafka consumer and the goroutine that polls it. It lets
// the appenders run before it polls again, since from within C it keeps a processor that
// they may have to wait for (BenchmarkIngest in turns with the commit before: 1.93 and
// 2.08 µs a record, 1.52 and 1.24 since). The watcher, one goroutine, looks at brokers
// and topics every MetadataEvery and when something happens; it alone opens topics, hands out partitions and begins new
// epochs, by commands that the readers run between two batches.
//
// What is read is routed exactly once and in order within a partition:
//
//   - A partition's place is ours (partition.read), never librdkafka's, and it
//     never goes back: what comes a second time is dropped. Whenever in doubt,
//     a partition is assigned again at that place.
//   - Ends of partitions are progress too, so that positions pass transaction
//     markers and what compaction left.
//   - auto.offset.reset is "error": what retention deleted before it was read
//     becomes a gap, which clients are told.
//   - A topic that was deleted and made again has another topic id, and so
//     another epoch. librdkafka goes on in the new topic at the offset it had in
//     the old one and mentions the new id only in a debug line; the reader waits
//     for that line and throws records away until the watcher has decided
//     (reader.drainLogs). A log that became shorter begins a new epoch too.
//   - A Consumer that is started again goes on where the one before it stopped
//     (Config.Progress).
//   - A topic that comes after our start, and partitions that are added, are
//     read from their beginning.
//
// # Who may touch what
//
//	reader, partition    the reader's goroutine, but for what is atomic or under mu
//	poller, route.Decoder  the reader's goroutine
//	topic                the watcher; others look at what mu guards
//	route.Router         anyone: it never changes
//	Progress             one Consumer at a time
//	Feed                 the watcher, through Open and its own batch
//	figures, sampler, strays, deadLetters  anyone
//	Publisher, Producer  anyone
//	recallLane, recallRead             the recaller's goroutine, and the lane's while it reads
//	recaller, recallTopic, recallUser  the recaller's goroutine, but for what is atomic or under mu
//	handouts, lease, times             anyone
//
// Bytes of a record are librdkafka's until the next poll. The decoder copies a
// value once when a room takes it; keys and names are copied by the batch.
//
// # Reading again
//
// A member that resumes from further back than the tapes reach asks for what its
// room got in a stretch of the topic (Consumer.Recall). One goroutine (recaller)
// gathers who asks within 20 ms, and judges each request alone, by the offsets that it lacks and the mean record: whether Kafka has them, and
// whether its user's budget (Config.RecallBytes, a minute's worth at most) has them ever,
// or now. What is refused is nobody else's answer.
//
// It reads in slices (recaller.slice): a turn is one user's, of those that have had none
// in this round the one that lacks least, and takes along who lacks about the same. They
// share the read and what it costs. What was read is kept for 30 s, within
// Config.RecallMemory; of what is more than half of that, only the rooms that are asked
// for are taken, and nothing is kept. Kafka is asked where topics end on goroutines of
// their own, and a slice of which nothing comes for a second ends: that topic is left
// alone for a while. Slices are read in lanes (recallLane), each with a librdkafka client,
// one topic in one lane, so that others go on beside a topic whose brokers send nothing.
// A wildcard that resumes asks for names instead (recall_names.go): its answer is made of all
// slices, or is more names than it may join.
//
// A member is given what a slice has of its room, and asks for more when it was sent that
// (Past.UpTo); the rest waits for the user's budget and is not refused. What members hold
// is counted by user (handouts) and bounded by as much memory again. At the bound, those
// that were sent nothing for 250 ms are asked to give theirs back; they ask again when
// their sockets take bytes.
//
// Places at a time (Consumer.PositionsAt) come from Kafka's time index. Four goroutines
// at most ask, once for all who ask for the same tenth of a second, users in turns, and
// keep the answer for 5 s. It also says since when nothing was deleted (times.wholeSince): a time
// before that is too old, with what is left.
//
// # Before a start
//
// CheckProperties asks librdkafka about each of the operator's properties, without a
// client. TryClients makes the clients that a Consumer and a Publisher make (readerConf,
// recallConf, controlConf, publisherConf) and closes them: they know no broker. Connect
// tries brokers, topics and rights within a minute, with clients of its own, on the
// caller's goroutine but for the brokers, of which eight are tried at a time.
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
//	BenchmarkIngest     0.84 us/record   0.93 us/record   polled, checked, routed to two rooms nobody listens to
//
// With the client's Poll BenchmarkIngest took 1.7 us in place of 0.84: of each
// record Poll makes eight objects, in two calls into C or more. The poller takes up
// to 256 records in one call and reads them where they are.
//
// Waiting for a controller that is gone takes librdkafka 0.9 of a CPU, so admin
// requests have short timeouts, and metadata is asked for first (consumer_watch.go).
package ingest
