package route

import (
	"unicode/utf8"

	"tapecast/ingest/jsonscan"
)

// Fields of a record: the texts of placeholders and conditions.

// lack is why a field of a record, or a room name made of fields, cannot be used.
type lack uint8

const (
	lackNone      lack = iota
	lackMissing        // the record does not have the field
	lackTombstone      // the field is part of the value, and the record has no value
	lackNull           // the field is null
	lackKind           // the field is an object, an array, a fraction, true or false
	lackEmpty          // the text is empty
	lackTwice          // the field occurs twice, with different values
	lackHalf           // the field holds half of a surrogate pair, which is not a character
	lackFormat         // the record key is not of the route's key_format
	lackUTF8           // bytes of a key or a header are not UTF-8
	lackLong           // the text is too long for a name, a type or a key
	lackName           // no client can name the room
	lackOwner          // no user can own the room
	lackElsewhere      // the room is of another pattern than its template
	lackFeed           // the topic does not feed the room
	lackPattern        // the room is of no pattern
)

// badOf returns the fault of a record whose field cannot be used in a template.
func badOf(why lack, template string, from *source) Bad {
	b := Bad{fault: fault{BadField, why}, What: template}
	switch why {
	case lackTwice:
		b.Reason = BadTwice
	case lackFormat:
		b.Reason = BadKey
	case lackHalf, lackUTF8:
		b.Reason = BadUTF8
	}
	if from != nil {
		b.field = &from.text
	}
	return b
}

// fits reports whether a record meets all conditions of a route. A record without the field
// does not meet the condition. Neither does a tombstone, which has no value. If the field of a
// condition is faulty and no other condition excludes the record, fits returns true and the
// fault.
func (d *Decoder) fits(r *route, m *Record) (ok bool, b Bad) {
	for i := range r.conds {
		c := &r.conds[i]
		text, why := d.value(&c.from, m)
		switch why {
		case lackNone:
			if !globMatch(c.glob, text) {
				return false, Bad{}
			}
		case lackTwice, lackHalf, lackFormat:
			if b.Reason == 0 {
				b = badOf(why, "match", &c.from)
			}
		default:
			return false, Bad{}
		}
	}
	return true, b
}

// value returns a field for a condition, which also takes fractions, true, false and null.
func (d *Decoder) value(from *source, m *Record) (text []byte, why lack) {
	if text, why = d.text(from, m); from.kind == fromValue && (why == lackKind || why == lackNull) {
		if text = d.scan.Field(from.slot); text[0] != '{' && text[0] != '[' {
			return text, lackNone
		}
	}
	return text, why
}

// render appends a template's text. If a field cannot be used, from is that field.
func (d *Decoder) render(dst []byte, t *template, m *Record) (text []byte, from *source, why lack) {
	if t.constant() {
		return append(dst, t.text...), nil, lackNone
	}
	for i := range t.parts {
		p := &t.parts[i]
		if !p.field {
			dst = append(dst, p.lit...)
			continue
		}
		text, why := d.text(&p.from, m)
		if why == lackNone && len(text) == 0 {
			why = lackEmpty
		}
		if why != lackNone {
			return dst, &p.from, why
		}
		dst = append(dst, text...)
	}
	return dst, nil, lackNone
}

// textOf renders the template of a frame's key or type: UTF-8, and not too long.
func (d *Decoder) textOf(dst []byte, t *template, m *Record, most int) ([]byte, Bad) {
	dst, from, why := d.render(dst, t, m)
	switch {
	case why != lackNone:
		return dst, badOf(why, t.text, from)
	case len(dst) > most:
		return dst, Bad{fault: fault{BadSize, lackLong}, What: t.text, at: int32(len(dst))}
	case t.raw && !utf8.Valid(dst):
		return dst, Bad{fault: fault{BadUTF8, lackUTF8}, What: t.text}
	}
	return dst, Bad{}
}

// text returns a placeholder's text, valid until the next call. Of values: strings and integers.
func (d *Decoder) text(from *source, m *Record) (text []byte, why lack) {
	switch from.kind {
	case fromKey:
		switch {
		case m.Key == nil:
			return nil, lackMissing
		case from.keys == keyUTF8 || len(m.Key) == 0:
			return m.Key, lackNone
		}
		var ok bool
		if d.keyText, ok = from.keys.append(d.keyText[:0], m.Key); !ok {
			return nil, lackFormat
		}
		return d.keyText, lackNone
	case fromHeader:
		for i := len(m.Headers) - 1; i >= 0; i-- {
			if h := &m.Headers[i]; h.Key == from.name {
				if h.Value == nil {
					return nil, lackNull
				}
				return h.Value, lackNone
			}
		}
		return nil, lackMissing
	}
	if why = d.lacks(from.slot); why != lackNone {
		if m.Value == nil {
			why = lackTombstone
		}
		return nil, why
	}
	switch raw := d.scan.Field(from.slot); {
	case raw[0] == '"':
		text, whole := d.scan.Unquoted(raw)
		if !whole {
			return text, lackHalf
		}
		return text, lackNone
	case integer(raw):
		return raw, lackNone
	case raw[0] == 'n':
		return nil, lackNull
	}
	return nil, lackKind
}

// lacks returns why a field of the value cannot be used; lackNone: it can.
func (d *Decoder) lacks(slot int) lack {
	switch d.scan.Found(slot) {
	case jsonscan.Missing:
		return lackMissing
	case jsonscan.Doubled:
		return lackTwice
	}
	return lackNone
}

// integer reports whether a JSON value is an integer. The value must be valid JSON.
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
