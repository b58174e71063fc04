package wire

import (
	"bytes"
	"strconv"
)

// A client that reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) is sent what others are sent as
// frames: a text is one event, a ping is a comment, and a close frame is the event `close`.

// PingEvent keeps a stream of events alive.
const PingEvent = ":\n\n"

// AppendEvent appends a text as one event. Its lines are the lines of the event. id is the event's
// id, which must be one line; empty: it has none.
func AppendEvent(dst, id, text []byte) []byte {
	if len(id) > 0 {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	for {
		n := lineEnd(text)
		if n < 0 {
			break
		}
		dst = append(append(dst, text[:n]...), "\ndata: "...)
		if n++; text[n-1] == '\r' && n < len(text) && text[n] == '\n' {
			n++
		}
		text = text[n:]
	}
	return append(append(dst, text...), "\n\n"...)
}

// lineEnd returns where the first line of text ends, or -1 if there is only one. Values of records
// may have several: JSON allows line ends between its tokens.
func lineEnd(text []byte) int {
	n, cr := bytes.IndexByte(text, '\n'), bytes.IndexByte(text, '\r')
	if n < 0 || cr >= 0 && cr < n {
		return cr
	}
	return n
}

// AppendEvents appends whole frames as events. Frames that mean nothing to a reader of events are
// left out.
func AppendEvents(dst, frames []byte) []byte {
	for len(frames) > 0 {
		n := FrameLen(frames)
		text := frames[HeaderLen(frames):n]
		switch frames[0] & 0x0f {
		case OpText:
			dst = AppendEvent(dst, nil, text)
		case OpPing:
			dst = append(dst, PingEvent...)
		}
		frames = frames[n:]
	}
	return dst
}

// AppendCloseEvent appends the last event of a stream, with a close code and a reason, which may be any
// bytes. An EventSource comes back whatever the code is, so it is told how soon.
func AppendCloseEvent(dst []byte, code uint16, reason []byte) []byte {
	retry := "5000"
	switch {
	case code == CloseUnsupported || code >= 4000 && code < 4100:
		retry = "3600000"
	case code == ClosePolicy || code >= 4100 && code < 4200:
		retry = "60000"
	}
	dst = append(append(append(dst, "retry: "...), retry...), "\nevent: close\ndata: {\"code\":"...)
	dst = strconv.AppendUint(dst, uint64(code), 10)
	dst = append(dst, `,"reason":`...)
	dst = AppendString(dst, bytes.ToValidUTF8(reason, []byte("\uFFFD")))
	return append(dst, "}\n\n"...)
}

// PosOf returns the partition and the offset of the record in the frame of an envelope. ok is false
// if the frame is of no record.
func PosOf(frame []byte) (partition int32, offset int64, ok bool) {
	b := frame[HeaderLen(frame):]
	for i, name := range keyPath {
		if !bytes.HasPrefix(b, []byte(name)) {
			if i == len(keyPath)-1 {
				break // a record without a key
			}
			return 0, 0, false
		}
		b = b[len(name):]
		end := stringEnd(b)
		if end < 0 {
			return 0, 0, false
		}
		b = b[end:]
	}
	b, ok = bytes.CutPrefix(b, []byte(posName))
	if !ok {
		return 0, 0, false
	}
	end := stringEnd(b)
	if end < 0 {
		return 0, 0, false
	}
	part, off, _ := bytes.Cut(b[1:end-1], []byte(":"))
	p, err := strconv.ParseInt(string(part), 10, 32)
	o, bad := strconv.ParseInt(string(off), 10, 64)
	return int32(p), o, err == nil && bad == nil
}
