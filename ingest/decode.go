package ingest

import (
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// record is one Kafka record as it was read. Its bytes are librdkafka's, good
// until the next poll.
type record struct {
	partition  int32
	offset     int64
	time       int64  // ms since 1970; -1: not known
	key, value []byte // nil: none
	headers    []kafka.Header
}

// decoder checks records and routes them. It belongs to one reader's goroutine
// and allocates nothing for a record once its buffers are warm.
type decoder struct {
	maxRecord int                 // bytes of key and value together
	add       func(*rooms.Record) // takes what has been routed; must copy Room and Key, may keep Value

	// misplaced counts records that lie in another partition than the route's
	// partitioner says.
	misplaced uint64

	// origin is what a dead letter is made of, should a record be refused a room, which a
	// crowded pattern's may be; nil: nothing is.
	origin  func(*record) any
	crowded func(*rooms.Pattern) bool

	scan  scanner
	rec   rooms.Record
	whole []byte            // the record's value, copied; nil: not yet
	chunk []byte            // where values are copied to
	types map[string]string // interned types

	names []byte // the rooms of one route, back to back
	ends  []int
	which []*rooms.Pattern
	key   []byte
	typ   []byte
	given []byte // rooms that one record went to already, where that must be known
	until []int
}

// maxTypes bounds the interned types: a bad field could yield any number.
const maxTypes = 1024

func newDecoder(maxRecord int, add func(*rooms.Record)) *decoder {
	return &decoder{maxRecord: maxRecord, add: add, types: map[string]string{}}
}

// route sends one record to all rooms of all routes that fit it. A route with
// a fault sends it nowhere; the first fault is returned.
func (d *decoder) route(t *topicRoutes, m *record) bad {
	if len(m.key)+len(m.value) > d.maxRecord {
		return bad{reason: badSize, at: len(m.key) + len(m.value)}
	}
	first := bad{}
	sound := true // the value may go where JSON goes
	if m.value == nil {
		d.scan.none(t.fields)
	} else if t.json {
		if at := d.scan.scan(m.value, t.fields); at >= 0 {
			first = bad{reason: badJSON, at: at}
		} else if d.scan.high&high != 0 && !utf8.Valid(m.value) {
			first = bad{reason: badUTF8}
		}
		if sound = first.reason == 0; !sound {
			d.scan.none(t.fields)
		}
	}
	d.begin(m)
	fits := false
	for _, r := range t.routes {
		if !sound && !r.binary || !d.fits(r, m) {
			continue
		}
		fits = true
		if b := d.apply(t, r, m); b.reason != 0 && first.reason == 0 {
			first = b
		}
	}
	if !fits && first.reason == 0 {
		return bad{reason: badRoute}
	}
	return first
}

// begin fills in what is the same for all rooms of a record.
func (d *decoder) begin(m *record) {
	d.rec.Partition, d.rec.Offset, d.rec.Time = m.partition, m.offset, m.time
	if m.time < 0 {
		d.rec.Time = time.Now().UnixMilli()
	}
	d.given, d.until = d.given[:0], d.until[:0]
	d.whole = nil
}

// fits says whether a record meets all conditions of a route.
func (d *decoder) fits(r *route, m *record) bool {
	for i := range r.conds {
		if text, ok := d.value(&r.conds[i].from, m); !ok || !globMatch(r.conds[i].glob, text) {
			return false
		}
	}
	return true
}

// value is a field as a condition sees it.
func (d *decoder) value(from *source, m *record) (text []byte, ok bool) {
	if text, ok = d.text(from, m); !ok && from.kind == fromValue {
		text, ok = d.scalar(from.slot)
	}
	return text, ok
}

// apply sends one record to the rooms of one route, or, with a fault, to none.
func (d *decoder) apply(t *topicRoutes, r *route, m *record) bad {
	value := m.value
	if value == nil && r.bare {
		return bad{} // a bare frame is the value, and a tombstone has none
	}
	if r.payload >= 0 && value != nil {
		at := d.scan.spans[r.payload]
		if at.from == at.to {
			return bad{reason: badField, what: "payload"}
		}
		value = value[at.from:at.to]
	}
	var ok bool
	if d.key = d.key[:0]; r.key != nil {
		if d.key, ok = d.render(d.key, r.key, m); !ok {
			return bad{reason: badField, what: r.key.text}
		}
	}
	typ, ok := d.typeOf(r, m)
	if !ok {
		return bad{reason: badField, what: r.typ.text}
	}
	if b := d.name(t, r, m); b.reason != 0 {
		return b
	}
	if r.place != nil && len(m.key) > 0 && r.place(m.key, max(1, t.feed.Partitions())) != d.rec.Partition {
		d.misplaced++
	}
	d.rec.Type, d.rec.Key, d.rec.HasKey = typ, d.key, r.key != nil
	d.rec.Value, d.rec.Binary = d.kept(value, r.payload < 0), r.binary
	if d.rec.Keyframe = false; r.keyframe != nil {
		text, ok := d.value(&r.keyframe.from, m)
		d.rec.Keyframe = ok && string(text) == r.keyframe.glob
	}
	from := 0
	for i, end := range d.ends {
		name := d.names[from:end]
		from = end
		if t.twice && d.hadAlready(name) {
			continue
		}
		d.rec.Room, d.rec.Pattern = name, d.which[i]
		if d.origin != nil && d.crowded(d.which[i]) {
			d.rec.Origin = d.origin(m)
		}
		d.add(&d.rec)
		d.rec.Origin = nil
	}
	d.rec.Value = nil
	return bad{}
}

// chunkSize is how much memory is taken at once for values: an object for each
// record would cost the collector more than the values' copies do.
const chunkSize = 64 << 10

// kept copies a value out of librdkafka's memory. The whole value of a record
// is copied once, for all routes.
func (d *decoder) kept(value []byte, whole bool) []byte {
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

// name renders the names of a route's rooms and finds their patterns.
func (d *decoder) name(t *topicRoutes, r *route, m *record) bad {
	d.names, d.ends, d.which = d.names[:0], d.ends[:0], d.which[:0]
	for i := range r.rooms {
		room := &r.rooms[i]
		from := len(d.names)
		var ok bool
		if d.names, ok = d.render(d.names, &room.template, m); !ok {
			return bad{reason: badField, what: room.text}
		}
		name := d.names[from:]
		if len(name) > rooms.MaxName || room.raw && !utf8.Valid(name) {
			return bad{reason: badRoom, what: room.text}
		}
		p := room.pattern
		if p == nil {
			p, _, ok = t.resolve(unsafe.String(&name[0], len(name)))
			if !ok || p.Feed != t.feed || p.Bare != r.bare {
				return bad{reason: badRoom, what: room.text}
			}
		}
		d.ends = append(d.ends, len(d.names))
		d.which = append(d.which, p)
	}
	return bad{}
}

func (d *decoder) hadAlready(name []byte) bool {
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

// typeOf is the type of a record's frames, the same string for the same text.
func (d *decoder) typeOf(r *route, m *record) (string, bool) {
	if r.typ.constant() {
		return r.typ.text, true
	}
	var ok bool
	if d.typ, ok = d.render(d.typ[:0], r.typ, m); !ok {
		return "", false
	}
	if s, ok := d.types[string(d.typ)]; ok {
		return s, true
	}
	s := string(d.typ)
	if len(d.types) < maxTypes {
		d.types[s] = s
	}
	return s, true
}

// render appends a template's text; false: a field is missing or unfit.
func (d *decoder) render(dst []byte, t *template, m *record) ([]byte, bool) {
	if t.constant() {
		return append(dst, t.text...), true
	}
	for i := range t.parts {
		p := &t.parts[i]
		if !p.field {
			dst = append(dst, p.lit...)
			continue
		}
		text, ok := d.text(&p.from, m)
		if !ok || len(text) == 0 {
			return dst, false
		}
		dst = append(dst, text...)
	}
	return dst, true
}

// text is what a placeholder stands for: valid until the next call. Of a value
// only strings and integers fit.
func (d *decoder) text(from *source, m *record) (text []byte, ok bool) {
	switch from.kind {
	case fromKey:
		return m.key, m.key != nil
	case fromHeader:
		for i := len(m.headers) - 1; i >= 0; i-- {
			if h := &m.headers[i]; h.Key == from.name {
				return h.Value, h.Value != nil
			}
		}
		return nil, false
	}
	raw, ok := d.scalar(from.slot)
	if !ok {
		return nil, false
	}
	if raw[0] == '"' {
		return d.scan.unquoted(raw), true
	}
	return raw, integer(raw)
}

// scalar is a field of the value as it stands there; false: there is none, or
// it is an object or an array.
func (d *decoder) scalar(slot int) (raw []byte, ok bool) {
	at := d.scan.spans[slot]
	if at.from == at.to {
		return nil, false
	}
	raw = d.scan.src[at.from:at.to]
	return raw, raw[0] != '{' && raw[0] != '['
}

// integer says whether a checked JSON value is an integer.
func integer(raw []byte) bool {
	if raw[0] == '-' {
		raw = raw[1:]
	}
	for _, c := range raw {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}
