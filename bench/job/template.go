package job

import (
	"encoding/json"
	"strconv"
	"strings"
)

// ValueTemplate is an envelope of one's own around each value, as the topics have it.
// The publisher's goroutine uses it.
type ValueTemplate struct {
	texts []string // what stands before each place, and after the last
	holes []string // what goes there
}

// What a template has places for.
const (
	holeValue = "{{value}}" // the JSON object that the clients time and check
	holeKey   = "{{key}}"   // the record's key, without quotes
	holeSeq   = "{{seq}}"   // the message's number
)

// mostTemplate bounds what a template adds: it comes back to the clients in an envelope.
const mostTemplate = MaxEnvelope / 2

// ParseTemplate reads one; "" is none: nil. It must hold the value once, and be JSON with
// all filled in.
func ParseTemplate(text string) (*ValueTemplate, error) {
	if text == "" {
		return nil, nil
	}
	t := &ValueTemplate{}
	for rest := text; ; {
		at, hole := len(rest), ""
		for _, h := range []string{holeValue, holeKey, holeSeq} {
			if k := strings.Index(rest, h); k >= 0 && k < at {
				at, hole = k, h
			}
		}
		t.texts = append(t.texts, rest[:at])
		if hole == "" {
			break
		}
		t.holes = append(t.holes, hole)
		rest = rest[at+len(hole):]
	}
	switch {
	case strings.Count(text, holeValue) != 1:
		return nil, Inputf("--value-template: it takes %s once, where the message's own value goes", holeValue)
	case len(text) > mostTemplate:
		return nil, Inputf("--value-template: %d bytes are more than %d", len(text), mostTemplate)
	case !json.Valid(t.Fill(nil, []byte("{}"), "k", 1)):
		return nil, Inputf("--value-template: with %s, %s and %s filled in it is no JSON: %.100q",
			holeValue, holeKey, holeSeq, text)
	}
	return t, nil
}

// Fill appends the template with a message's own value, key and number in it.
func (t *ValueTemplate) Fill(dst, value []byte, key string, n int64) []byte {
	for k, text := range t.texts {
		dst = append(dst, text...)
		if k == len(t.holes) {
			break
		}
		switch t.holes[k] {
		case holeValue:
			dst = append(dst, value...)
		case holeKey:
			dst = append(dst, key...)
		case holeSeq:
			dst = strconv.AppendInt(dst, n, 10)
		}
	}
	return dst
}
