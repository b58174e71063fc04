package route

import (
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/ingest/jsonscan"
	"tapecast/rooms"
)

// Record is one Kafka record. Its bytes belong to librdkafka and are valid until the next poll.
type Record struct {
	Partition  int32
	Offset     int64
	Time       int64  // ms since 1970; -1: unknown
	Key, Value []byte // nil: none
	Headers    []kafka.Header
}

// Decoder checks records and routes them. It belongs to one reader's goroutine
// and allocates nothing for a record once its buffers are warm.
type Decoder struct {
	maxRecord int                 // bytes of key and value together
	add       func(*rooms.Record) // takes a routed record; must copy Room and Key, may keep Value

	// Counts are the partition counts that the topic has had, for partitioners.
	Counts []int32
	// Misplaced: a route's partitioner says another partition, for each of Counts.
	Misplaced bool

	// Origin copies a record for a dead letter, if a crowded pattern may refuse it. Nil: none.
	Origin  func(*Record) any
	Crowded func(*rooms.Pattern) bool

	scan  jsonscan.Scanner
	rec   rooms.Record
	whole []byte            // a copy of the record's value; nil: not yet copied
	chunk []byte            // memory for copies of values
	types map[string]string // interned types

	names []byte           // the room names of one route, back to back
	ends  []int            // the end of each in names
	which []*rooms.Pattern // the pattern of each
	key   []byte
	typ   []byte
	given []byte // if Topic.twice: room names that the record went to, back to back
	until []int  // the end of each in given

	keyText []byte // the text of a record key that is not UTF-8
}

// maxTypes bounds the interned types, of up to rooms.MaxType bytes: a field could give any number.
const maxTypes = 1024

// NewDecoder returns a decoder that calls add with each routed record.
func NewDecoder(maxRecord int, add func(*rooms.Record)) *Decoder {
	return &Decoder{maxRecord: maxRecord, add: add, types: map[string]string{}}
}

// Route sends one record to all rooms of all routes that match it. It returns the first fault.
// A route with a fault sends the record nowhere.
func (d *Decoder) Route(t *Topic, m *Record) Bad {
	d.Misplaced = false
	if len(m.Key)+len(m.Value) > d.maxRecord {
		return Bad{fault: fault{Reason: BadSize}, at: int32(len(m.Key) + len(m.Value))}
	}
	first := Bad{}
	sound := true // the value may go to routes with JSON
	if m.Value == nil {
		d.scan.Clear(t.fields)
	} else if t.json {
		if at := d.scan.Scan(m.Value, t.fields); at >= 0 {
			first = Bad{fault: fault{Reason: BadJSON}, at: int32(at)}
		} else if d.scan.NonASCII() && !utf8.Valid(m.Value) {
			first = Bad{fault: fault{Reason: BadUTF8}}
		}
		if sound = first.Reason == 0; !sound {
			d.scan.Clear(t.fields)
		}
	}
	d.begin(m)
	fits := false
	for _, r := range t.routes {
		if !sound && !r.binary {
			continue
		}
		ok, b := d.fits(r, m)
		if !ok {
			continue
		}
		if fits = true; b.Reason == 0 {
			b = d.apply(t, r, m)
		}
		if b.Reason != 0 && first.Reason == 0 {
			first = b
		}
	}
	if !fits && first.Reason == 0 {
		return Bad{fault: fault{Reason: Unmatched}}
	}
	return first
}

func (d *Decoder) begin(m *Record) {
	d.rec.Partition, d.rec.Offset, d.rec.Time = m.Partition, m.Offset, m.Time
	if m.Time < 0 {
		d.rec.Time = time.Now().UnixMilli()
	}
	d.given, d.until = d.given[:0], d.until[:0]
	d.whole = nil
}

// apply sends one record to all rooms of one route, or to none and returns the fault.
func (d *Decoder) apply(t *Topic, r *route, m *Record) Bad {
	value := m.Value
	if value == nil && r.bare {
		return Bad{} // a bare frame is the value, and a tombstone has none
	}
	if r.payload != nil && value != nil {
		if why := d.lacks(r.payload.slot); why != lackNone {
			return badOf(why, "payload", r.payload)
		}
		value = d.scan.Field(r.payload.slot)
	}
	var b Bad
	if d.key = d.key[:0]; r.key != nil {
		if d.key, b = d.textOf(d.key, r.key, m, d.maxRecord); b.Reason != 0 {
			return b
		}
	}
	typ, b := d.typeOf(r, m)
	if b.Reason != 0 {
		return b
	}
	keyframe, b := d.keyframe(r, m)
	if b.Reason != 0 {
		return b
	}
	if b := d.name(t, r, m); b.Reason != 0 {
		return b
	}
	d.Misplaced = d.Misplaced || !r.inPartition(m, d.Counts)
	d.rec.Type, d.rec.Key, d.rec.HasKey = typ, d.key, r.key != nil
	d.rec.Value, d.rec.Binary = d.kept(value, r.payload == nil), r.binary
	d.rec.Keyframe = keyframe
	from := 0
	for i, end := range d.ends {
		name := d.names[from:end]
		from = end
		if t.twice && d.hadAlready(name) {
			continue
		}
		d.rec.Room, d.rec.Pattern = name, d.which[i]
		if d.Origin != nil && d.Crowded(d.which[i]) {
			d.rec.Origin = d.Origin(m)
		}
		d.add(&d.rec)
		d.rec.Origin = nil
	}
	d.rec.Value = nil
	return Bad{}
}

func (d *Decoder) keyframe(r *route, m *Record) (bool, Bad) {
	if r.keyframe == nil {
		return false, Bad{}
	}
	text, why := d.value(&r.keyframe.from, m)
	switch why {
	case lackNone:
		return string(text) == r.keyframe.glob, Bad{}
	case lackTwice, lackHalf, lackFormat:
		return false, badOf(why, "keyframe", &r.keyframe.from)
	}
	return false, Bad{}
}

// chunkSize is how many bytes are allocated at once for values: an object for each
// record would cost the collector more than the copies cost.
const chunkSize = 64 << 10

// kept copies a value out of librdkafka's memory, a record's whole value once for all routes.
func (d *Decoder) kept(value []byte, whole bool) []byte {
	switch {
	case value == nil:
		return nil
	case whole && d.whole != nil:
		return d.whole
	}
	n := len(value)
	if n > chunkSize/4 {
		value = append(make([]byte, 0, n), value...)
	} else {
		if n > cap(d.chunk)-len(d.chunk) || d.chunk == nil {
			d.chunk = make([]byte, 0, chunkSize)
		}
		from := len(d.chunk)
		d.chunk = append(d.chunk, value...)
		value = d.chunk[from : from+n : from+n]
	}
	if whole {
		d.whole = value
	}
	return value
}

// name renders the names of a route's rooms and looks up their patterns.
func (d *Decoder) name(t *Topic, r *route, m *Record) Bad {
	d.names, d.ends, d.which = d.names[:0], d.ends[:0], d.which[:0]
	for i := range r.rooms {
		room := &r.rooms[i]
		begin := len(d.names)
		var from *source
		var why lack
		if d.names, from, why = d.render(d.names, &room.template, m); why != lackNone {
			return badOf(why, room.text, from)
		}
		name := d.names[begin:]
		p := room.pattern
		if p == nil {
			p, _, _ = t.resolve(unsafe.String(&name[0], len(name)))
			if !room.lands(p) || p.Feed != t.Feed || p.Bare != r.bare {
				return badName(room, name, p)
			}
		} else if !p.Holds(name) {
			return badName(room, name, p)
		}
		d.ends = append(d.ends, len(d.names))
		d.which = append(d.which, p)
	}
	return Bad{}
}

// badName returns why a route may not send to the room of that name. p is the pattern that
// the name falls into; nil: no pattern holds it.
func badName(room *roomTemplate, name []byte, p *rooms.Pattern) Bad {
	b := Bad{fault: fault{Reason: BadRoom}, What: room.text}
	switch {
	case len(name) > rooms.MaxName:
		b.lack = lackLong
	case !utf8.Valid(name):
		b.lack = lackUTF8
	case p == nil || p == room.pattern:
		b.lack = room.unheld(name)
	case !room.lands(p):
		b.lack, b.field = lackElsewhere, &p.Match
	default:
		b.lack, b.field = lackFeed, &p.Match
	}
	return b
}

// hadAlready reports whether the record went to the room before, and notes the room.
func (d *Decoder) hadAlready(name []byte) bool {
	from := 0
	for _, end := range d.until {
		if string(d.given[from:end]) == string(name) {
			return true
		}
		from = end
	}
	d.given = append(d.given, name...)
	d.until = append(d.until, len(d.given))
	return false
}

func (d *Decoder) typeOf(r *route, m *Record) (string, Bad) {
	if r.typ.constant() {
		return r.typ.text, Bad{}
	}
	var b Bad
	if d.typ, b = d.textOf(d.typ[:0], r.typ, m, rooms.MaxType); b.Reason != 0 {
		return "", b
	}
	if s, ok := d.types[string(d.typ)]; ok {
		return s, Bad{}
	}
	s := string(d.typ)
	if len(d.types) < maxTypes {
		d.types[s] = s
	}
	return s, Bad{}
}
