package ingest

import (
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"tapecast/rooms"
)

// decoder checks records and routes them. It belongs to one reader's goroutine
// and allocates nothing for a record once its buffers are warm.
type decoder struct {
	maxRecord int                 // bytes of key and value together
	add       func(*rooms.Record) // takes what has been routed; must copy Room and Key

	// misplaced counts records that lie in another partition than the route's
	// partitioner says.
	misplaced uint64

	scan  scanner
	rec   rooms.Record
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
func (d *decoder) route(t *topicRoutes, m *kafka.Message) bad {
	if len(m.Key)+len(m.Value) > d.maxRecord {
		return bad{reason: badSize, at: len(m.Key) + len(m.Value)}
	}
	first := bad{}
	sound := true // the value may go where JSON goes
	if m.Value == nil {
		d.scan.none(t.fields)
	} else if t.json {
		if at := d.scan.scan(m.Value, t.fields); at >= 0 {
			first = bad{reason: badJSON, at: at}
		} else if !utf8.Valid(m.Value) {
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
func (d *decoder) begin(m *kafka.Message) {
	d.rec.Partition = m.TopicPartition.Partition
	d.rec.Offset = int64(m.TopicPartition.Offset)
	if m.TimestampType == kafka.TimestampNotAvailable {
		d.rec.Time = time.Now().UnixMilli()
	} else {
		d.rec.Time = m.Timestamp.UnixMilli()
	}
	d.given, d.until = d.given[:0], d.until[:0]
}

// fits says whether a record meets all conditions of a route.
func (d *decoder) fits(r *route, m *kafka.Message) bool {
	for i := range r.conds {
		c := &r.conds[i]
		text, ok := d.text(&c.from, m)
		if !ok && c.from.kind == fromValue {
			text, ok = d.scalar(c.from.slot)
		}
		if !ok || !globMatch(c.glob, text) {
			return false
		}
	}
	return true
}

// apply sends one record to the rooms of one route, or, with a fault, to none.
func (d *decoder) apply(t *topicRoutes, r *route, m *kafka.Message) bad {
	value := m.Value
	if value == nil && r.bare {
		return bad{} // a bare frame is the value, and a tombstone has none
	}
	if r.payload >= 0 && value != nil {
		at := d.scan.spans[r.payload]
		if at.from == at.to {
			return bad{reason: badField, what: "payload"}
		}
		value = value[at.from:at.to:at.to]
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
	if r.place != nil && len(m.Key) > 0 && r.place(m.Key, max(1, t.feed.Partitions())) != d.rec.Partition {
		d.misplaced++
	}
	d.rec.Type, d.rec.Key, d.rec.HasKey = typ, d.key, r.key != nil
	d.rec.Value, d.rec.Binary = value, r.binary
	from := 0
	for i, end := range d.ends {
		name := d.names[from:end]
		from = end
		if t.twice && d.hadAlready(name) {
			continue
		}
		d.rec.Room, d.rec.Pattern = name, d.which[i]
		d.add(&d.rec)
	}
	d.rec.Value = nil
	return bad{}
}

// name renders the names of a route's rooms and finds their patterns.
func (d *decoder) name(t *topicRoutes, r *route, m *kafka.Message) bad {
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
func (d *decoder) typeOf(r *route, m *kafka.Message) (string, bool) {
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
func (d *decoder) render(dst []byte, t *template, m *kafka.Message) ([]byte, bool) {
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
func (d *decoder) text(from *source, m *kafka.Message) (text []byte, ok bool) {
	switch from.kind {
	case fromKey:
		return m.Key, m.Key != nil
	case fromHeader:
		for i := len(m.Headers) - 1; i >= 0; i-- {
			if h := &m.Headers[i]; h.Key == from.name {
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
