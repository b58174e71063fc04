package rooms

import "strconv"

var (
	null  = []byte("null")
	brace = []byte("}")
)

// appendEnvelope appends the envelope of a data frame up to its value, which
// follows byte for byte, and then a brace. name.go says what its parts may hold.
func appendEnvelope(dst []byte, room string, p *part, it *item, prev int64) []byte {
	dst = append(dst, `{"room":`...)
	dst = AppendString(dst, room)
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, it.typ)
	if it.hasKey {
		dst = append(dst, `,"key":`...)
		dst = AppendString(dst, p.text(it.key))
	}
	dst = append(dst, `,"pos":`...)
	dst = appendPos(dst, it.part, it.off)
	if prev != unknown {
		dst = append(dst, `,"prev":`...)
		dst = appendPos(dst, it.part, prev)
	}
	dst = append(dst, `,"ts":`...)
	dst = strconv.AppendInt(dst, it.time, 10)
	return append(dst, `,"data":`...)
}

// appendExpired is the message that a key is gone, as its tombstone would be,
// but from no place in the topic.
func appendExpired(dst []byte, room string, f *lastFrame) []byte {
	dst = append(dst, `{"room":`...)
	dst = AppendString(dst, room)
	dst = append(dst, `,"type":`...)
	dst = AppendString(dst, f.typ)
	dst = append(dst, `,"key":`...)
	dst = AppendString(dst, f.key)
	return append(dst, `,"data":null}`...)
}

// appendNotice appends the start of a notice, up to its params.
func appendNotice(dst []byte, method string) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","method":"`...)
	dst = append(dst, method...)
	return append(dst, `","params":`...)
}

// AppendGap appends a `gap` notice: what lies after from and up to to was not
// sent. from may be earlier than the member's last message, never later.
func AppendGap(dst []byte, room string, from, to Positions) []byte {
	dst = appendNotice(dst, "gap")
	dst = append(dst, `{"room":`...)
	dst = AppendString(dst, room)
	dst = append(dst, `,"from":`...)
	dst = from.AppendJSON(dst)
	dst = append(dst, `,"to":`...)
	dst = to.AppendJSON(dst)
	return append(dst, "}}"...)
}

func appendReset(dst []byte, room, epoch string) []byte {
	dst = appendNotice(dst, "reset")
	dst = append(dst, `{"room":`...)
	dst = AppendString(dst, room)
	dst = append(dst, `,"epoch":`...)
	dst = AppendString(dst, epoch)
	return append(dst, "}}"...)
}
