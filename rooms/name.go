package rooms

import (
	"unicode"
	"unicode/utf8"
)

// What the parts of a frame may hold. The code that makes a Record ensures it, for live frames,
// snapshots and recalled frames alike. A single text frame that is not UTF-8 ends the connection of
// every client that gets it (RFC 6455, 8.1).
//
//	room   1 to MaxName bytes that Pattern.Holds accepts: UTF-8, a name that a client can write,
//	       and in a private pattern one that a user can own
//	type   up to MaxType bytes of UTF-8
//	key    UTF-8; two keys of a room that differ have different texts
//	pos, prev, ts  numbers that Kafka gave
//	data   one JSON value in UTF-8 (RFC 8259), byte for byte; null for a tombstone
//
// A bare frame (Pattern.Bare) is the value alone: JSON in UTF-8 in a text frame, any bytes in a
// binary one. AppendString escapes text that is quoted.

const (
	// MaxName is the longest room name in bytes.
	MaxName = 256
	// MaxOwner is the longest name of a user in bytes, so that a room name with it stays
	// within MaxName.
	MaxOwner = 128
	// MaxType is the longest type of a frame in bytes.
	MaxType = 256
)

// Which names may have a byte below 0x80.
const (
	inNames  = 1 << iota // of public rooms
	inOwners             // the part of a private room's name that is its owner
)

// ascii says which names may have each byte. Bytes above 0x7f are checked as runes.
var ascii = func() (t [256]uint8) {
	for c := range utf8.RuneSelf {
		for _, where := range [...]uint8{inNames, inOwners} {
			if fitsRune(rune(c), where) {
				t[c] |= where
			}
		}
	}
	return t
}()

// fitsRune reports whether names of that kind may have the character. A client writes a name as a
// JSON string, so a name may have any character but a star, which stands for a wildcard. Line ends
// and other control characters come from keys that were not meant as names, and break logs.
func fitsRune(r rune, where uint8) bool {
	if where == inNames {
		return r != '*' && !unicode.IsControl(r) && r != '\u2028' && r != '\u2029'
	}
	switch r {
	case '*', '{', '}', '"', '\\', utf8.RuneError:
		return false
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

// fits reports whether names of that kind may have all characters of s.
func fits[S string | []byte](s S, where uint8) bool {
	all := uint8(0xff)
	for i := range len(s) {
		all &= ascii[s[i]]
	}
	return all&where != 0 || fitsSlow(string(s), where)
}

func fitsSlow(s string, where uint8) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !fitsRune(r, where) {
			return false
		}
	}
	return true
}

// CanOwn reports whether a user of that name can own rooms. The name must be UTF-8 without white
// space, invisible characters and any of *{}"\.
func CanOwn[S string | []byte](user S) bool {
	return len(user) > 0 && len(user) <= MaxOwner && fits(user, inOwners)
}

// Holds reports whether the pattern may have a room of that name. The name begins with the
// pattern's prefix, or is equal to a literal. A client must be able to write it, and in a private
// pattern a user must be able to own it.
func (p *Pattern) Holds(name []byte) bool { return holds(p, name) }

func holds[S string | []byte](p *Pattern, name S) bool {
	switch {
	case !p.wildcard:
		return true
	case len(name) > MaxName || len(name) <= len(p.prefix):
		return false
	case p.Class.Private():
		return CanOwn(name[len(p.prefix):])
	}
	return fits(name[len(p.prefix):], inNames)
}
