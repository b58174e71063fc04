// Package rooms owns frames, tapes, last values, the sharded room tables,
// classes and positions. It knows nothing of sockets, Kafka or HTTP.
//
// # A room is a tape, a member is a cursor
//
// A room keeps an append-only run of WebSocket frames, built once, header and
// all, lying back to back in chunks. A member is the number of the next frame
// it lacks. A reader asks Room.Cut for the frames from there on and gets pieces
// of the chunks themselves: nothing is copied or queued for a member, however
// far behind it is.
//
// Private rooms are many and nearly empty. They own no chunks: the private rooms of
// one class and shard write into one journal, and each holds the numbers of its frames.
//
// # Last values
//
// Rooms of a class that conflates or has snapshots also hold the newest frame
// of each key, in the order of those updates (latest.go). Room.CutLatest walks
// them: from a cursor for a member that lags, from 0 for a snapshot, from 0 with
// a Filter of what the client has for one that resumes. A walk is exact for the
// head that it saw, since an update marks the frame before it with its own
// number and changes nothing else. Frames stay on the tape until it drops them,
// and are then copied (Room.evacuate); tombstones stay for a minute at least, and who
// was away for longer starts again.
//
// # Memory
//
// Tapes and last values have a budget each. A shard's appender gives from its own what
// is over it: of tapes whole chunks that are not fresh (sweep.go), in the order
// of sacrifice (Class.sacrifice), of last values the oldest (evict.go). A value that is evicted leaves
// no tombstone, since its key is not gone: members that have been sent it have it,
// others find the room partial (Table.Partial), and a walk on from where a
// member lags begins again as a snapshot. Where tapes drop frames they are copied to
// the last values, so the one budget may feed the other; last values never cost tapes anything.
//
// # Rooms without data
//
// A join makes the rooms that it names. As long as such a room has had no record, the user
// of the join pays for it (empty.go), and it does not count for the pattern's MaxRooms: names that
// nobody feeds take no place from data. With its first record it counts, or, where
// the pattern is full, stays with its user: members are never refused a record. So a record
// is refused only where nobody is in its room. Whoever sent it hears of it (Batch.Refused).
//
// # Deflated frames
//
// Where a class compresses and members take that, the appender writes each frame
// to a second tape as well (deflated.go), deflated where that is shorter, under
// the same number. So a cursor is a place on both: a member may get one frame
// from this and the next from that, and does where the second tape does not go
// back as far, and for last values that no tape holds any more. A frame is
// deflated once, for all members; an encoder takes 1 MB a shard.
//
// # Resuming
//
// Each chunk knows what had been read of every feed when it was begun, a little
// later at most, and a tape what had been read before all that it has dropped.
// A client that has more than that (shard.resume) goes on from that chunk and
// is spared, frame by frame, what it has. Tapes of two nodes differ in the order of
// partitions, so no number means anything elsewhere: positions do.
//
// Positions name all partitions of the feed, whichever of them the room has had records
// from: producers may place a key elsewhere tomorrow, and a topic may grow. A partition
// that a client does not name is younger than its last word, or was left out by a gateway
// that named one of a private room. It is read from its start either way: from the tape,
// or from Kafka, which refuses what it has let go (-32008). All members that are level with
// a feed share one text of its positions (shard.levelAt), which costs each of them a copy.
//
// # Rooms that appear
//
// A Watch is interest in all rooms of a pattern whose names begin alike. Its join
// is answered with members in those that have had a record; for a room that has its
// first one later, the appender gives a member before it writes (shard.appear), so
// between the two nothing is missed. Watches are kept by prefix, and a new room's
// name is looked up at each of its lengths: what that takes is its length,
// and the watches that match. A record of a room that is known pays nothing for them;
// one for a room that is not there pays a look at Pattern.watched.
//
// A watch that goes on from a place of its own (Watch.From) is told which of these rooms got
// something since, where all shards know: each holds up to which record of the pattern it may
// have passed over one, since it has no room for it, or has removed that room (changed.go). What is
// behind that, and on the tapes, needs no Kafka. Classes with last values and those with Keep
// pass over nothing until they remove a room; others do wherever nobody watches.
//
// # Who may touch what
//
// A shard's appender is one goroutine. It alone writes the tapes, creates and
// removes rooms, and answers joins, so a join's seam is exact: frames before it
// are in the positions that came with it, all others come after it. Others
// reach it through its mailbox, whose lock is held for a few instructions.
//
// Readers on any goroutine may look at a room below its published head:
//
//   - The appender writes a frame's bytes and index entry behind the head,
//     then publishes the head (an atomic store), then tells the listeners, then
//     moves the shard's positions. Who reads positions first and the head
//     second, and finds its cursor there, has been sent all up to the positions.
//   - Chunks are never changed below the head, never moved and never reused.
//     The directory of a tape is replaced, not changed. Retention drops chunks
//     from the directory; who still reads one keeps it alive until done.
//   - A Sub's Local field belongs to its listener. Table.Listen's callback runs
//     on the appenders' goroutines and must not block.
//
// # Model
//
// TestModel drives two tables and their members (loop/member) at random, and holds every frame and
// place against plain lists of records (model_test.go). It takes millions of steps with
//
//	go test ./rooms -run TestModel -v -rapid.checks=60000 -rapid.steps=150
//
// and `make faults` plants faults in copies of the package and of loop/member, each of which
// it finds.
//
// # Figures
//
// A private room takes 112 bytes, and its Sub 48 (TestSizes holds them there).
// Chunks begin at 1 KiB and double to 256 KiB while they fill in less than a
// quarter of the class's age; a frame over 16 KiB gets a chunk of its own, so
// that a member that has been sent half of it holds nothing else. An entry of a
// chunk's index is 20 bytes a frame: 4 of them are Kafka's timestamp, which nobody
// needs for sending, but loops for the age of what they send.
package rooms
