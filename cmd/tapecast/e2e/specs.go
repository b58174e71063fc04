package e2e

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// specification is an OpenAPI or AsyncAPI document that a gateway serves.
type specification struct {
	t        *testing.T
	name     string
	doc      any
	compiler *jsonschema.Compiler
}

func (g *gateway) specification(t *testing.T, name string) *specification {
	t.Helper()
	code, text := g.get("/" + name)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil || code != 200 {
		t.Fatalf("%s: %d %v", name, code, err)
	}
	s := &specification{t: t, name: name, doc: doc, compiler: jsonschema.NewCompiler()}
	if err := s.compiler.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// at returns what a path of names leads to, by way of references. nil: nothing.
func (s *specification) at(from any, names ...string) any {
	v := s.followed(from)
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = s.followed(m[name])
	}
	return v
}

// followed follows a reference.
func (s *specification) followed(v any) any {
	m, _ := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		return s.at(s.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return v
}

func (s *specification) object(from any, names ...string) map[string]any {
	m, _ := s.at(from, names...).(map[string]any)
	return m
}

// schema compiles the schema at a path of names.
func (s *specification) schema(names ...string) *jsonschema.Schema {
	s.t.Helper()
	for i, name := range names {
		names[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	sch, err := s.compiler.Compile(s.name + "#/" + strings.Join(names, "/"))
	if err != nil {
		s.t.Fatal(err)
	}
	return sch
}

// valid reports whether a text is JSON that fits, or why not.
func valid(sch *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return sch.Validate(v)
}

// encoded returns v as JSON.
func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
