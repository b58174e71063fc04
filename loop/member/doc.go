// Package member holds the rules of one membership: which frames of its room a client is sent
// next, and what it is told of those that it is not. It knows rooms and notices, but no
// connection, socket or clock.
//
// # A cursor, and extra state for few
//
// A Member is a cursor in a room, in 24 bytes. Most want nothing but the live frames, and
// Rules.Next cuts those from the tape. A few have an Extra for as long as they need it: a
// snapshot under way, a key filter, a rate, what came after a position; or they lag in a
// conflated room and are sent the newest frame of each key. Next takes the member's Extra and
// returns the one that it has from then on: it makes one where a member begins to lag, and
// drops it where all that it was for is done.
//
// # How a frame gets to the client
//
// The loop calls Next with a budget of bytes. It appends pieces of the tape to dst, tells the
// client what must come before them (Client.Tell), and returns a Cut. The loop sends the pieces
// and says with Sent how much of each the kernel took: only that moves the cursor. So a member
// that takes nothing holds no frames. A notice that does not fit is not lost: the member stays
// as it is, and the next call tells it.
//
// # What is no longer on the tape
//
// What a member lacks and no tape holds is read again (Client.Recall) and sent first, as a
// rooms.Past. When that was sent and there is more, or the tape has left the member behind
// meanwhile, it joins again (Client.Rejoin) from where it is, and Rejoined gives it another
// seam. A past may be taken back while its client takes nothing (Extra.TakeBack): the
// member keeps its position and asks again. What cannot be had any more ends in a gap notice,
// or in a close, as the class says.
//
// # Who may touch what
//
// All of it belongs to one goroutine, which is the loop's. Rules are shared by the members of a
// loop. The model of rooms drives this package as a loop does (rooms/model_member_test.go).
package member
