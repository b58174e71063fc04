package job

import (
	"encoding/json"
	"strconv"
	"strings"
)

// ValueTemplate is a user's own envelope around each value, as the user's topics have
// it. It belongs to the publisher's goroutine.
type ValueTemplate struct {
	texts []string // the text before each hole, and after the last one
	holes []string // what fills each hole
}

// The holes of a template.
const (
	holeValue = "{{value}}" // the JSON object that the clients time and check
	holeKey   = "{{key}}"   // the record's key, without quotes
	holeSeq   = "{{seq}}"   // the message's number
)

// mostTemplate bounds what a template adds: it comes back to the clients inside an envelope.
const mostTemplate = MaxEnvelope / 2

// ParseTemplate parses a template. It must hold the value once, and must be JSON when
// all holes are filled. An empty text gives nil, no template.
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
		return nil, Inputf("--value-template: it must hold %s once, where the message's own value goes", holeValue)
	case len(text) > mostTemplate:
		return nil, Inputf("--value-template: %d bytes are more than %d", len(text), mostTemplate)
	case !json.Valid(t.Fill(nil, []byte("{}"), "k", 1)):
		return nil, Inputf("--value-template: with %s, %s and %s filled in it is not JSON: %.100q",
			holeValue, holeKey, holeSeq, text)
	}
	return t, nil
}

// Fill appends the template with the message's own value, key and number.
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
