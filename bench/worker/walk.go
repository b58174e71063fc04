package worker

import "tapecast/bench/proto"

// walked notes that the last values of a room begin or end for client i. They are older
// than the client, so they are not messages that it should have got.
func (r *reader) walked(i int, room string, begins bool) {
	switch {
	case !begins:
		if delete(r.walks[i], room); len(r.walks[i]) == 0 {
			delete(r.walks, i)
		}
	case r.walks[i] == nil:
		r.walks[i] = map[string]bool{room: true}
	default:
		r.walks[i][room] = true
	}
}

// isWalked reports whether the message p of client i is such a last value.
func (r *reader) isWalked(i int, p []byte) bool {
	rooms := r.walks[i]
	if len(rooms) == 0 {
		return false
	}
	room, ok := proto.Member(p[:min(len(p), 512)], `{"room":"`)
	return ok && rooms[string(room)]
}
