package ingest

import (
	"fmt"
	"strconv"
)

// reason says why a record was not routed; 0: it was.
type reason uint8

const (
	badJSON  reason = iota + 1 // no JSON (RFC 8259), or nested too deep
	badUTF8                    // JSON, but bytes in a string that are no UTF-8
	badField                   // a field that the route names is missing or unfit
	badSize                    // larger than Config.MaxRecord
	badRoom                    // the room's name is too long, no UTF-8, or not the topic's to feed
	badRoute                   // no route of the topic fits
	badFull                    // the pattern of its room has as many rooms as it may
	reasons
)

// reasonNames are the reasons as logs, figures and dead letters spell them.
var reasonNames = [reasons]string{"", "json", "utf8", "field", "size", "room", "route", "max_rooms"}

func (r reason) String() string { return reasonNames[r] }

// bad says what is wrong with a record, without costing anything until asked.
type bad struct {
	reason reason
	at     int    // badJSON: place in the value; badSize: size
	what   string // badField, badRoom: the template, or "payload"
}

// detail says it in words.
func (b bad) detail() string {
	switch b.reason {
	case badJSON:
		return "the value is no valid JSON at byte " + strconv.Itoa(b.at)
	case badUTF8:
		return "the value holds bytes that are no UTF-8"
	case badField:
		return fmt.Sprintf("no fit field for %q: strings and integers are", b.what)
	case badSize:
		return fmt.Sprintf("key and value have %d bytes", b.at)
	case badRoom:
		return fmt.Sprintf("%q gives no name of a room that the topic feeds", b.what)
	case badRoute:
		return "no route of the topic fits"
	case badFull:
		return fmt.Sprintf("it would make a room, and the pattern %q has as many with data as its max_rooms says", b.what)
	}
	return ""
}
