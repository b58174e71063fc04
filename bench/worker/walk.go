package worker

import "tapecast/bench/proto"

// walked notes that the last values of a room begin or end for client i. They are older
// than the client, so they are not messages that it should have got.
func (r *reader) walked(i int, room string, begins bool) {
	if r.walks == nil {
		r.walks = map[int]map[string]bool{}
	}
	switch {
	case begins && r.walks[i] == nil:
		r.walks[i] = map[string]bool{room: true}
	case begins:
		r.walks[i][room] = true
	case len(r.walks[i]) > 1:
		delete(r.walks[i], room)
	default:
		delete(r.walks, i)
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
