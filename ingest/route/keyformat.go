package route

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// keyFormat is how producers write record keys, and so the text of {@key}: no two keys share one.
type keyFormat uint8

const (
	keyUTF8   keyFormat = iota // the key as it is; other bytes than UTF-8 are refused
	keyInt32                   // 4 bytes, big-endian, as Kafka's IntegerSerializer writes them
	keyInt64                   // 8 bytes, big-endian, as LongSerializer writes them
	keyHex                     // any bytes, as lower-case hexadecimal digits
	keyBase64                  // any bytes, as in RFC 4648, section 4
)

// keyFormats are the values of Route.KeyFormat.
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
