package session

import (
	"strconv"

	"tapecast/loop"
	"tapecast/rooms/wire"
)

// appendKinds appends, by room, its class, and whether every break in its chain is a loss.
func appendKinds(dst []byte, joined []loop.Joined) []byte {
	byRoom := func(name string, value func(*loop.Joined)) {
		dst = append(append(append(dst, `,"`...), name...), `":{`...)
		from := len(dst)
		for i := range joined {
			if j := &joined[i]; j.Err == nil {
				dst = append(wire.AppendString(wire.AppendComma(dst, from), j.Name), ':')
				value(j)
			}
		}
		dst = append(dst, '}')
	}
	byRoom("class", func(j *loop.Joined) { dst = wire.AppendString(dst, j.Class) })
	byRoom("chain", func(j *loop.Joined) { dst = strconv.AppendBool(dst, j.Chain) })
	return dst
}
