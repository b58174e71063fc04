package wire

import "strconv"

// Envelope is everything in a message except the value.
type Envelope struct {
	Room, Type string
	Key        []byte
	HasKey     bool
	Partition  int32
	Offset     int64
	Prev       int64 // offset of the room's previous message from the partition; less than 0: not known
	Time       int64 // Kafka's timestamp, ms since 1970
}

// Append appends the envelope up to the value. The caller appends the value byte for byte, and then
// a brace.
func (e *Envelope) Append(dst []byte) []byte {
	dst = append(dst, keyPath[0]...)
	dst = AppendString(dst, e.Room)
	dst = append(dst, keyPath[1]...)
	dst = AppendString(dst, e.Type)
	if e.HasKey {
		dst = append(dst, keyPath[2]...)
		dst = AppendString(dst, e.Key)
	}
	dst = append(dst, `,"pos":`...)
	dst = appendPos(dst, e.Partition, e.Offset)
	if e.Prev >= 0 {
		dst = append(dst, `,"prev":`...)
		dst = appendPos(dst, e.Partition, e.Prev)
	}
	dst = append(dst, `,"ts":`...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	return append(dst, `,"data":`...)
}

// keyPath is the text before each string of an envelope, up to the key.
var keyPath = [...]string{`{"room":`, `,"type":`, `,"key":`}

// AppendExpired appends the message that a key is gone. It is like the message of a tombstone, but
// without a position.
func AppendExpired(dst []byte, room, typ, key string) []byte {
	dst = append(dst, keyPath[0]...)
	dst = AppendString(dst, room)
	dst = append(dst, keyPath[1]...)
	dst = AppendString(dst, typ)
	dst = append(dst, keyPath[2]...)
	dst = AppendString(dst, key)
	return append(dst, `,"data":null}`...)
}

// KeyText returns the key in the frame of an envelope, escaped as it stands there, or nil if there
// is none.
func KeyText(frame []byte) (text []byte) {
	b := frame[HeaderLen(frame):]
	for _, name := range keyPath {
		if len(b) <= len(name) || string(b[:len(name)]) != name {
			return nil
		}
		b = b[len(name):]
		end := stringEnd(b)
		if end < 0 {
			return nil
		}
		text, b = b[1:end-1], b[end:]
	}
	return text
}

// stringEnd returns where the JSON string at the beginning of b ends, or -1 if there is none.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}
