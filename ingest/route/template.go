package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"tapecast/ingest/jsonscan"
)

type source struct {
	kind sourceKind
	slot int       // fromValue: the field's slot in the topic's tree
	name string    // fromHeader: the header
	keys keyFormat // fromKey
	text string    // as configured
}

type sourceKind uint8

const (
	fromValue  sourceKind = iota // a path into the JSON value
	fromKey                      // the record's key
	fromHeader                   // a header of the record
)

type template struct {
	text  string // as configured
	parts []part // nil: the text is constant
	raw   bool   // some placeholder is a key or a header, which may hold any bytes
}

type part struct {
	lit   string
	field bool
	from  source
}

func (t *template) constant() bool { return t.parts == nil }

func (t *template) uses(kind sourceKind) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.field && p.from.kind == kind })
}

// glob returns a glob that all texts of the template match: every placeholder becomes a *.
func (t *template) glob() string {
	if t.constant() {
		return t.text
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.field {
			b.WriteByte('*')
		} else {
			b.WriteString(p.lit)
		}
	}
	return b.String()
}

func (t *template) prefix() string {
	switch {
	case t.constant():
		return t.text
	case t.parts[0].field:
		return ""
	}
	return t.parts[0].lit
}

// parseTemplate parses a template. It adds paths into the value to the tree.
func parseTemplate(text string, tree *jsonscan.Tree) (template, error) {
	t := template{text: text}
	if !utf8.ValidString(text) {
		return t, errors.New("holds bytes that are not UTF-8, which no frame may have")
	}
	rest := text
	for rest != "" {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			if t.parts != nil {
				t.parts = append(t.parts, part{lit: rest})
			}
			return t, nil
		}
		if rest[open] == '}' {
			return t, errors.New("has a } without a { before it: write a placeholder such as {s}")
		}
		end := strings.IndexAny(rest[open+1:], "{}")
		if end < 0 || rest[open+1+end] == '{' {
			return t, errors.New("has a { that is never closed: write a placeholder such as {s}")
		}
		name := rest[open+1 : open+1+end]
		from, err := parseSource(name, tree)
		if err != nil {
			return t, err
		}
		if open > 0 {
			t.parts = append(t.parts, part{lit: rest[:open]})
		}
		t.parts = append(t.parts, part{field: true, from: from})
		t.raw = t.raw || from.kind != fromValue
		rest = rest[open+1+end+1:]
	}
	return t, nil
}

// parseSource parses what is between the braces of a placeholder, or left in a condition.
func parseSource(name string, tree *jsonscan.Tree) (source, error) {
	switch {
	case name == "":
		return source{}, errors.New("has an empty placeholder: name a field such as s, @key or @header.x")
	case name == "@key":
		return source{kind: fromKey, text: name}, nil
	case strings.HasPrefix(name, "@header."):
		header := name[len("@header."):]
		if header == "" {
			return source{}, errors.New("has @header. without a name: write @header.x for the header x")
		}
		return source{kind: fromHeader, name: header, text: name}, nil
	case name[0] == '@':
		return source{}, fmt.Errorf("has %q, which is neither @key nor @header.x", name)
	}
	if err := checkPath(name); err != nil {
		return source{}, err
	}
	slot, err := tree.Add(name)
	return source{kind: fromValue, slot: slot, text: name}, err
}

// checkPath refuses the path syntax of other tools: braces, white space and a leading $.
func checkPath(name string) error {
	switch bare := strings.Trim(name, "{} \t"); {
	case strings.ContainsAny(name, "{}"):
		return fmt.Errorf("has braces, which only rooms, key and type take: write %s", bare)
	case bare != name:
		return fmt.Errorf("has white space around the name %q: write it without", bare)
	case name == "$" || strings.HasPrefix(name, "$."):
		return errors.New("begins with $: a path begins with the name of a member, such as data.asset")
	}
	return nil
}

// globMatch reports whether a text matches a glob. A * stands for any text.
func globMatch(glob string, s []byte) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(glob) && glob[i] == '*':
			star, mark = i, j
			i++
		case i < len(glob) && glob[i] == s[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[i:], "*") == ""
}

func globsOverlap(a, b string) bool {
	// row[j]: some text matches both a[i:] and b[j:]. It is filled from the end.
	row := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		diagonal := false // row[j+1] of the previous i
		for j := len(b); j >= 0; j-- {
			below := row[j]
			switch {
			case i == len(a) && j == len(b):
				row[j] = true
			case i < len(a) && a[i] == '*':
				row[j] = below || j < len(b) && row[j+1]
			case j < len(b) && b[j] == '*':
				row[j] = row[j+1] || i < len(a) && below
			default:
				row[j] = i < len(a) && j < len(b) && a[i] == b[j] && diagonal
			}
			diagonal = below
		}
	}
	return row[0]
}
