// Package ingest brings Kafka's records to the rooms: it owns the librdkafka
// consumers, checks and routes records, and keeps dead letters. Beside that it
// has what a demo and tests need of Kafka: an embedded broker, a generated
// market, the replay of recorded feeds, and a publisher. It knows no sockets.
//
// # Routes
//
// Compile turns Routes into a Router and marks the patterns of the catalog that
// they feed. A reader's decoder then takes each record once: one strict pass over
// the value checks it and finds every field that any route of the topic reads
// (scanner), then each route that fits renders its names and adds the record to
// the batch. Bytes are never encoded again; a payload is a span of the value. A
// record that cannot be routed is counted by its reason, sampled into the log and
// sent to the dead letter topic; it never stops the stream, and its offset counts
// as progress.
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
//   - A topic that comes after our start, and partitions that are added, are
//     read from their beginning.
//
// # Who may touch what
//
//	reader, partition    the reader's goroutine, but for what is atomic or under mu
//	poller, decoder      the reader's goroutine
//	topic                the watcher; others look at what mu guards
//	Router, topicRoutes  anyone: they never change
//	Feed                 the watcher, through Open and its own batch
//	figures, sampler     anyone
//	Publisher, producer  anyone
//	generator, FeedFile  one goroutine
//
// Bytes of a record are librdkafka's until the next poll. The decoder copies a
// value once when a room takes it; keys and names are copied by the batch.
//
// # Reading again
//
// A member that resumes from further back than the tapes reach asks for what its
// room got in a stretch of the topic (Consumer.Recall). One goroutine, with a
// librdkafka client of its own, gathers who asks within 20 ms, reads each partition
// once from the oldest place asked for, routes every record into all its rooms,
// and keeps the stretch for 30 s, within Config.RecallMemory: who comes later
// costs what lies before or behind it. The frames that members are still being sent
// of it are within as much again; while they are over that, who asks waits.
//
// Places at a time (Consumer.PositionsAt) come from Kafka's time index. One
// goroutine asks, once for all who ask for the same tenth of a second, and keeps
// the answer for 5 s.
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
//	BenchmarkScan       170 ns   134 B checked, one field found
//	BenchmarkFastjson   380 ns   the same by fastjson's Validate and Parse
//
// fastjson also lets control characters pass in strings with escapes
// (TestScanFaults), and recurses as deep as a record nests. FuzzScan holds the
// scanner against encoding/json and fastjson.
//
// Waiting for a controller that is gone takes librdkafka 0.9 of a CPU, so admin
// requests have short timeouts, and metadata is asked for first (consumer_watch.go).
package ingest
