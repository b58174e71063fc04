// Package rooms owns frames, tapes, last values, the sharded room tables, classes and positions. It
// knows nothing of sockets, Kafka or HTTP. Four packages lie inside it, and know nothing of it:
//
//	wire       every byte that a gateway says to a client: frames, notices, codes
//	heartbeat  how a goroutine shows the watchdog that it goes on; the whole gateway uses it
//	survey     questions that a goroutine answers in steps; loops use it too
//	testwait   how tests wait, in all packages
//
// A feed here is a topic as rooms see it (feed.go), a watch is the interest of a wildcard
// (watch.go), and a reader is a goroutine that reads a tape, such as a loop.
//
// # A room is a tape, a member is a cursor
//
// A room keeps an append-only run of WebSocket frames. The appender builds a record's frame with
// package wire, header included, and writes it to the tape of each of its rooms. Frames lie back to
// back in chunks. A member is the number of the next frame that it lacks. A reader asks Room.Cut
// for the frames from there on, and gets slices of the chunks themselves. Nothing is copied or
// queued for a member, however far it lags.
//
// Private rooms are many and nearly empty. They have no chunks: the private rooms of one class and
// shard share a journal, and each room holds the numbers of its frames.
//
// # Last values
//
// Rooms of a class that conflates or has snapshots also hold the newest frame of each key, in the
// order of the updates (latest.go). Room.CutLatest walks them: from the cursor of a member that
// lags, from 0 for a snapshot, and from 0 with a Filter for a member that resumes. A walk is exact
// for the head that it saw: an update marks the key's previous frame with its own number and
// changes nothing else. When the tape drops a frame that is still a last value, Room.evacuate
// copies it first. Tombstones are kept for at least a minute, and a client that was away longer
// starts again.
//
// # Memory
//
// Tapes and last values have a budget each. Above it, each appender frees memory of its own shard.
// Tapes lose whole chunks that are not fresh (sweep.go), in the order of Class.sacrifice. Last
// values lose the oldest (evict.go). An evicted value leaves no tombstone, since its key still
// exists. Members that were sent the value keep it, other members find the room partial
// (Table.Partial), and the walk of a member that lags starts again as a snapshot. Frames that a
// tape drops may be copied to the last values, so tapes can fill the budget of last values. The
// reverse cannot happen.
//
// # Rooms without data
//
// A join creates the rooms that it names. Until such a room has its first record, the user of the
// join pays for it (empty.go), and it does not count for the pattern's MaxRooms. So names without
// records take no space from data. With its first record the room counts. If the pattern is full,
// the room stays on its user's account, since a record for a room with members is never refused. A
// record is refused only if its room does not exist and may not be created. Batch.Refused tells the
// consumer.
//
// # Other forms of frames
//
// If the class compresses and members accept it, the appender writes each frame to a second tape as
// well (tape_coded.go), under the same number, deflated if that is shorter. So a cursor is valid
// on both tapes, and a member may get one frame from one tape and the next from the other. That
// happens where the second tape does not reach back as far, and for last values that no tape holds.
// A frame is deflated once, for all members. The encoder takes 1 MB a shard.
//
// A member may read server-sent events instead. While a public room has such members, it has a tape of
// events. Its loop makes events itself of frames that this tape does not have, of those of private
// rooms, and where each event has an id, which is the positions of a reader that has it (event.go).
//
// # Resuming
//
// Each chunk knows what had been read of every feed when the chunk was begun, or shortly after. A
// tape knows what had been read before all that it has dropped. A client that has more than that
// (shard.resume) continues from that chunk, without the frames that it has. The tapes of two nodes
// differ in the order of partitions, so a frame's number means nothing on another node. Positions
// do.
//
// Positions name all partitions of the feed, not only those with records of the room. A producer
// may send a key to another partition tomorrow, and a topic may grow. If a client does not name a
// partition, the partition may be newer than its positions. Or the positions come from a gateway
// that names only one partition for a private room. Either way the partition is read from its
// start: from the tape, or from Kafka, which refuses what it has deleted (-32008). All members that
// are level with a feed share one text of its positions (shard.levelAt). It costs each of them one
// copy.
//
// # Rooms that appear
//
// A Watch follows every room of a pattern with a given prefix, also rooms that appear later. Its
// join is answered with a Member for each room that has had a record. When another room gets its
// first record, the appender adds a Member before it writes (shard.appear), so nothing is missed in
// between. Watches are kept by prefix, and the name of a new room is looked up at each of its
// lengths. The cost is the length of the name and the watches that match. A record of a known room
// pays nothing for watches. A record without a room pays one look at Pattern.watches.
//
// A watch that resumes (Watch.From) is told which of these rooms have messages since then, if all
// shards know. Each shard knows up to which record of the pattern it may have dropped one, because
// it had no room for it or has removed the room (changed.go). What comes after that, and is on the
// tapes, needs no Kafka. Classes with last values or Keep drop no record until they remove a room.
// Others do unless somebody watches.
//
// # Who may touch what
//
// A shard's appender is one goroutine. It alone writes the tapes, creates and removes rooms, and
// answers joins. So the seam of a join is exact: frames before it are in the positions that came
// with it, and all other frames come after it. Other goroutines reach the appender through its
// mailbox, whose lock is held for a few instructions.
//
// Readers on any goroutine may read a room below its published head:
//
//   - The appender writes a frame's bytes and index entry behind the head,
//     then publishes the head (an atomic store), then tells the listeners, then
//     moves the shard's positions. A reader that loads the positions first and the head
//     second, and finds its cursor at the head, has been sent all up to the positions.
//   - Chunks are never changed below the head, never moved and never reused.
//     The directory of a tape is replaced, not changed. Retention drops chunks
//     from the directory; a reader that still holds one keeps it alive.
//   - A Sub's Local field belongs to its listener. Table.Listen's callback runs
//     on the appenders' goroutines and must not block.
//
// # Model
//
// TestModel drives two tables and their members (loop/member) at random, and compares every frame
// and position with plain lists of records (model_test.go). It takes millions of steps with
//
//	go test ./rooms -run TestModel -v -rapid.checks=60000 -rapid.steps=150
//
// and `make faults` plants faults in copies of this package and of loop/member. The model finds
// each of them.
//
// # Figures
//
// A private room takes 112 bytes, and its Sub, a loop's interest in it, 48 (TestSizes). Chunks
// begin at 1 KiB and double up to 256 KiB while they fill in less than a quarter of the class's
// age. A frame over 16 KiB gets a chunk of its own, so that a member that was sent half of it holds
// nothing else. An entry of a chunk's index is 20 bytes a frame. 4 of them are Kafka's timestamp,
// from which loops measure how old a message is when it is sent.
package rooms
