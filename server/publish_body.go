package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"tapecast/server/jsontext"
)

type publication struct {
	topic, key string
	value      json.RawMessage // as it was written; nil: missing
	headers    map[string]string
}

// readPublication reads a body. Each member must occur once, by its exact name. Without that check
// encoding/json takes the last of two, and "Key" for key.
func readPublication(d *json.Decoder) (in publication, err error) {
	err = visitMembers(d, func(name string) error {
		switch name {
		case "topic":
			return readText(d, &in.topic)
		case "key":
			return readText(d, &in.key)
		case "value":
			return d.Decode(&in.value)
		case "headers":
			in.headers = map[string]string{}
			return visitMembers(d, func(name string) error {
				var text string
				err := readText(d, &text)
				in.headers[name] = text
				return err
			})
		}
		return errors.New("it is an unknown field")
	})
	return in, err
}

// visitMembers calls visit at each member's value, which visit must read. null has no members.
func visitMembers(d *json.Decoder, visit func(name string) error) error {
	switch t, err := d.Token(); {
	case err != nil || t == nil:
		return err
	case t != json.Delim('{'):
		return errors.New("it must be an object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return unended(err)
		}
		name, ok := t.(string)
		switch {
		case !ok:
			return errors.New("a name must be a string")
		case seen[name]:
			return fmt.Errorf("%s stands there twice: send it once", jsontext.Quoted(name))
		}
		seen[name] = true
		if err := visit(name); err != nil {
			return fmt.Errorf("%s: %w", jsontext.Quoted(name), unended(err))
		}
	}
	_, err := d.Token()
	return unended(err)
}

// unended returns err, changed if it is the end of the body in the middle of an object.
func unended(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readText reads a string. null is an empty one.
func readText(d *json.Decoder, into *string) error {
	err := d.Decode(into)
	if errors.As(err, new(*json.UnmarshalTypeError)) {
		return errors.New("it must be a string")
	}
	return err
}
