// Package member holds the rules of one membership: which frames of its room a client is sent next,
// and what it is told about frames that it is not sent. A Wildcard has the rules of a membership by
// prefix. The package knows rooms and notices, but no connection, socket or clock.
//
// # A cursor, and extra state for few
//
// A Member is a cursor in a room, in 24 bytes. Most members want only the live frames, and
// Rules.Next cuts those from the tape. A few need an Extra for some time: for a snapshot under way,
// a key filter, a rate, or what came after a position. So do members that lag in a conflated room
// and are sent the newest frame of each key. Next takes the member's Extra and returns the one that
// it has from then on. It creates one when a member begins to lag, and drops it when everything
// that it was for is done.
//
// # How a frame gets to the client
//
// The loop calls Next with a budget of bytes. Next appends pieces of the tape to dst, tells the
// client what must come before them (Client.Tell), and returns a Cut. The loop sends the pieces and
// reports with Sent how much of each the kernel took. Only that moves the cursor, so a member that
// takes nothing holds no frames. A notice that does not fit is not lost: the member stays as it is,
// and the next call tells it.
//
// # What is no longer on the tape
//
// What a member lacks and no tape holds is read again (Client.Recall) and sent first, as a
// rooms.Past. If there is more after that, or the tape has dropped the member's next frames
// meanwhile, the member joins again from where it is (Client.Rejoin). Rejoined then gives it
// another seam. A past may be taken back while its client takes nothing (Extra.TakeBack): the
// member keeps its position and asks again. What is lost ends in a gap notice or in a close, as the
// class says.
//
// # Wildcards
//
// A Wildcard's own positions are what the tapes of all shards have, less what its members lack
// (Rules.Advance). They are computed when they are told. They are a lower bound, and cost one look
// at each head.
//
// A wildcard that resumes from such positions may lack messages of rooms that nobody on this node
// knows: records of rooms without members are skipped. So its join has three steps. First the
// appenders watch for it and give memberships that start now: from their seams on nothing is missed.
// Then the topic is asked which rooms have messages since (Rules.Missed), unless all appenders know
// and the tapes reach back that far (rooms.Watch.Changed). Last, those rooms are joined again, from
// the positions (Rules.Again). The other rooms lack nothing (Rules.Give). If this fails for a reason
// that passes, none of its rooms is joined, since each would begin with its next record
// (Wildcard.NotNow).
//
// # Who may touch what
//
// All of it belongs to one goroutine, which is the loop's. The members of a loop share one Rules.
// The model of package rooms drives this package as a loop does (rooms/model_member_test.go).
package member
