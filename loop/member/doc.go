// Package member holds the rules of one membership: which frames of its room a client is sent next,
// and what it is told about frames that it is not sent. It knows rooms and notices, but no
// connection, socket or clock.
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
// # Who may touch what
//
// All of it belongs to one goroutine, which is the loop's. The members of a loop share one Rules.
// The model of package rooms drives this package as a loop does (rooms/model_member_test.go).
package member
