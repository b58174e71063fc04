package route

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// keyFormat says how producers write record keys: what {@key} stands for. Of any two keys
// that differ the texts do too, or one of them has none.
type keyFormat uint8

const (
	keyUTF8   keyFormat = iota // the key as it is; what is not UTF-8 is refused
	keyInt32                   // 4 bytes, big-endian, as Kafka's IntegerSerializer writes them
	keyInt64                   // 8 bytes, likewise: LongSerializer
	keyHex                     // any bytes, as small hexadecimal digits
	keyBase64                  // any bytes, as in RFC 4648, section 4
)

// keyFormats are the names that Route.KeyFormat may have.
var keyFormats = map[string]keyFormat{
	"": keyUTF8, "utf8": keyUTF8, "int32": keyInt32, "int64": keyInt64, "hex": keyHex, "base64": keyBase64,
}

// append appends the text of a record key; false: the key is not of the format.
func (f keyFormat) append(dst, key []byte) ([]byte, bool) {
	switch f {
	case keyInt32:
		if len(key) != 4 {
			return dst, false
		}
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(key))), 10), true
	case keyInt64:
		if len(key) != 8 {
			return dst, false
		}
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(key)), 10), true
	case keyHex:
		return hex.AppendEncode(dst, key), true
	case keyBase64:
		return base64.StdEncoding.AppendEncode(dst, key), true
	}
	return append(dst, key...), true
}
