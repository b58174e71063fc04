package route

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
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

// partitioner returns the partition that producers choose for a record key.
// The key is never empty: without a key producers choose at random.
type partitioner func(key []byte, partitions int32) int32

// partitioners are the values of Route.Partitioner. *_random differs only for records without key.
var partitioners = map[string]partitioner{
	"murmur2":           murmur2,
	"murmur2_random":    murmur2,
	"consistent":        consistent,
	"consistent_random": consistent,
	"fnv1a":             fnv1a,
	"fnv1a_random":      fnv1a,
}

// inPartition reports whether a record is in the partition that the route's partitioner
// chooses, for any of the partition counts. Producers learn late that a topic has grown.
func (r *route) inPartition(m *Record, counts []int32) bool {
	if r.part == nil || len(m.Key) == 0 || len(counts) == 0 {
		return true
	}
	for _, n := range counts {
		if r.part(m.Key, n) == m.Partition {
			return true
		}
	}
	return false
}

// murmur2 is the partitioner of Kafka's Java client: toPositive(murmur2(key)) % partitions
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(key []byte, partitions int32) int32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(key))
	for len(key) >= 4 {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
		key = key[4:]
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h&0x7fffffff) % partitions
}

// consistent is librdkafka's default partitioner: CRC-32 (IEEE) of the key.
func consistent(key []byte, partitions int32) int32 {
	return int32(crc32.ChecksumIEEE(key) % uint32(partitions))
}

// fnv1a is a partitioner of librdkafka and Sarama: the absolute value of the 32-bit FNV-1a.
func fnv1a(key []byte, partitions int32) int32 {
	h := uint32(0x811c9dc5)
	for _, c := range key {
		h ^= uint32(c)
		h *= 0x01000193
	}
	if int32(h) < 0 {
		h = -h
	}
	return int32(h % uint32(partitions))
}
