package route

import (
	"cmp"
	"fmt"
	"strconv"

	"tapecast/rooms"
)

// Reason is why a record was not routed; 0: it was routed.
type Reason uint8

const (
	BadJSON   Reason = iota + 1 // the value is not JSON (RFC 8259), or nested too deep
	BadUTF8                     // a text is not UTF-8: the value, a type or a key
	BadField                    // a field that the route names is missing or cannot be used
	BadSize                     // larger than the decoder's limit, or a type longer than rooms.MaxType
	BadRoom                     // no room may have the name, or the route may not send to it
	BadFull                     // the pattern of its room has max_rooms rooms already
	BadTwice                    // a field that the route names occurs twice, with different values
	BadKey                      // the record key is not of the route's key_format
	Unmatched                   // no route of the topic matches: not a fault
	Reasons                     // the number of reasons
)

// reasonNames are the reasons as logs, metrics and dead letters spell them.
var reasonNames = [Reasons]string{"", "json", "utf8", "field", "size", "room", "max_rooms", "twice", "key", "unmatched"}

// String returns the reason as logs, metrics and dead letters spell it.
func (r Reason) String() string { return reasonNames[r] }

// Bad is the fault of a record. Its text is built only on demand. Every record passes a Bad
// through a few calls, mostly an empty one, so it has four fields and four words: the compiler
// keeps that in registers.
type Bad struct {
	fault
	at    int32   // BadJSON: index in the value; BadSize: size
	What  string  // the template, "payload", "match" or "keyframe"
	field *string // the field, as configured; lackElsewhere, lackFeed: the pattern; nil: none
}

// Full returns the fault of a record that needs a new room in a pattern with max_rooms rooms.
func Full(p *rooms.Pattern) Bad {
	return Bad{fault: fault{Reason: BadFull}, What: p.Match}
}

// fault is the kind of a record's fault.
type fault struct {
	Reason Reason
	lack   lack
}

// Detail describes the fault in words.
func (b Bad) Detail() string {
	switch b.Reason {
	case BadJSON:
		return "the value is not valid JSON at byte " + strconv.Itoa(int(b.at))
	case Unmatched:
		return "no route of the topic matches"
	case BadFull:
		return fmt.Sprintf("the record needs a new room, and pattern %q has max_rooms rooms with data already", b.What)
	case BadRoom:
		return b.ofRoom()
	}
	switch b.lack {
	case lackLong:
		return fmt.Sprintf("%q gives %d bytes, which is too many", b.What, b.at)
	case lackUTF8:
		return fmt.Sprintf("%q gives bytes that are not UTF-8: key_format says how keys are written", b.What)
	}
	if b.field != nil {
		return b.ofField()
	}
	switch b.Reason {
	case BadSize:
		return fmt.Sprintf("key and value have %d bytes", b.at)
	case BadUTF8:
		return "the value holds bytes that are not UTF-8"
	}
	return ""
}

func (b Bad) ofField() string {
	field, why := strconv.Quote(*b.field), cmp.Or(fieldFaults[b.lack], "%s cannot be used for")
	if *b.field == "@key" {
		field = "the record key"
		if b.lack == lackMissing {
			field, why = "the record", "%s has no key for"
		}
	}
	return fmt.Sprintf(why+" %q", field, b.What)
}

// fieldFaults says of a field what keeps it from being used for a template.
var fieldFaults = map[lack]string{
	lackMissing:   "the record lacks the field %s of",
	lackTombstone: "the record is a tombstone, and so has no %s for",
	lackNull:      "%s is null, and cannot be used for",
	lackKind:      "%s is neither a string nor an integer, and cannot be used for",
	lackEmpty:     "%s is empty, and cannot be used for",
	lackTwice:     "the value has %s twice, with different values: it cannot be used for",
	lackHalf:      "%s has half of a surrogate pair, which is not a character, and cannot be used for",
	lackFormat:    "%s is not as long as key_format says, and cannot be used for",
}

func (b Bad) ofRoom() string {
	name := fmt.Sprintf("%q gives a name that ", b.What)
	switch b.lack {
	case lackUTF8:
		return name + "is not UTF-8: key_format says how keys are written"
	case lackLong:
		return name + "is longer than " + strconv.Itoa(rooms.MaxName) + " bytes"
	case lackName:
		return name + "no client can write: it has a star, line ends or control characters"
	case lackOwner:
		return name + "no user can own: a user's name has at most " + strconv.Itoa(rooms.MaxOwner) +
			` bytes, and no white space, invisible characters or any of *{}"\`
	case lackElsewhere:
		return name + fmt.Sprintf("falls into room pattern %q, and not into the template's own", *b.field)
	case lackFeed:
		return name + fmt.Sprintf("falls into room pattern %q, which the topic does not feed", *b.field)
	}
	return name + "fits no room pattern"
}
