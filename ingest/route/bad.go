package route

import (
	"fmt"
	"strconv"

	"tapecast/rooms"
)

// Reason says why a record was not routed; 0: it was.
type Reason uint8

const (
	BadJSON   Reason = iota + 1 // no JSON (RFC 8259), or nested too deep
	BadUTF8                     // a text that is not UTF-8: in the value, or for a type or a key
	BadField                    // a field that the route names is missing or unfit
	BadSize                     // larger than the decoder's limit, or a type longer than rooms.MaxType
	BadRoom                     // no room may have the name, or it is not the template's, or the topic's to feed
	BadFull                     // the pattern of its room has as many rooms as it may
	BadTwice                    // the value has a field that the route names twice, with different values
	BadKey                      // the record key is not of the route's key_format
	Unmatched                   // no route of the topic fits: no fault
	Reasons                     // how many there are
)

// reasonNames are the reasons as logs, figures and dead letters spell them.
var reasonNames = [Reasons]string{"", "json", "utf8", "field", "size", "room", "max_rooms", "twice", "key", "unmatched"}

// String is the reason as logs, figures and dead letters spell it.
func (r Reason) String() string { return reasonNames[r] }

// Bad says what is wrong with a record, without costing anything until asked. Every record's
// passes through a few calls, mostly as nothing: four fields and four words are what the
// compiler keeps in registers.
type Bad struct {
	fault
	at    int32   // BadJSON: index in the value; BadSize: size
	What  string  // the template, "payload", "match" or "keyframe"
	field *string // the field, as configured, or lackElsewhere: the pattern; nil: none
}

// Full is the fault of a record that would make a room in a crowded pattern.
func Full(p *rooms.Pattern) Bad {
	return Bad{fault: fault{Reason: BadFull}, What: p.Match}
}

// fault is what kind of fault a record has.
type fault struct {
	Reason Reason
	lack   lack
}

// Detail says it in words.
func (b Bad) Detail() string {
	switch b.Reason {
	case BadJSON:
		return "the value is not valid JSON at byte " + strconv.Itoa(int(b.at))
	case Unmatched:
		return "no route of the topic fits"
	case BadFull:
		return fmt.Sprintf("it would make a room, and the pattern %q has as many with data as its max_rooms says", b.What)
	case BadRoom:
		return b.ofRoom()
	}
	switch b.lack {
	case lackLong:
		return fmt.Sprintf("%q gives %d bytes, which are too many", b.What, b.at)
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

// ofField says what is wrong with a field.
func (b Bad) ofField() string {
	field, why := strconv.Quote(*b.field), ""
	if *b.field == "@key" {
		field = "the record key"
	}
	switch b.lack {
	case lackMissing:
		why = fmt.Sprintf("the record lacks the field %s of", field)
		if *b.field == "@key" {
			why = "the record has no key for"
		}
	case lackTombstone:
		why = fmt.Sprintf("the record is a tombstone, without the value that has %s for", field)
	case lackNull:
		why = field + " is null, and cannot be used for"
	case lackKind:
		why = field + " is neither a string nor an integer, and cannot be used for"
	case lackEmpty:
		why = field + " is empty, and cannot be used for"
	case lackTwice:
		why = fmt.Sprintf("the value has %s twice, with different values: it cannot be used for", field)
	case lackHalf:
		why = field + " has half of a surrogate pair, which is not a character, and cannot be used for"
	case lackFormat:
		why = "the record key is not as long as key_format says, and cannot be used for"
	}
	return fmt.Sprintf("%s %q", why, b.What)
}

// ofRoom says why there can be no such room.
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
		return name + "nobody can own: no user's name has more than " + strconv.Itoa(rooms.MaxOwner) +
			` bytes, white space, invisible characters or any of *{}"\`
	case lackElsewhere:
		return name + fmt.Sprintf("falls into room pattern %q, and not where the template belongs", *b.field)
	case lackFeed:
		return name + fmt.Sprintf("falls into room pattern %q, which the topic does not feed", *b.field)
	}
	return name + "fits no room pattern"
}
