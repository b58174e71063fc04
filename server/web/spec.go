package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// spec is a specification.
type spec struct {
	doc  map[string]any
	text []byte // as JSON
}

func readSpec(name string) (*spec, error) {
	b, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, err
	}
	s := &spec{}
	if err := yaml.Unmarshal(b, &s.doc); err != nil {
		return nil, fmt.Errorf("%s.yaml: %w", name, err)
	}
	if s.text, err = json.Marshal(s.doc); err != nil {
		return nil, fmt.Errorf("%s.yaml: %w", name, err)
	}
	return s, nil
}

// at returns what a path of names leads to, such as components, messages. It is empty if there is none.
func (s *spec) at(names ...string) map[string]any {
	v := s.doc
	for _, name := range names {
		v, _ = v[name].(map[string]any)
	}
	return v
}

// page describes the messages of the socket, as Markdown.
func (s *spec) page() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# What goes over the socket?\n\n%s\n\n%s\n\nAll of it is in [asyncapi.json](/asyncapi.json).\n",
		s.at("info")["description"], s.at("channels", "socket")["description"])
	operations := s.at("operations")
	in := map[string]bool{}
	for _, action := range []struct{ name, title string }{
		{"receive", "What a client sends"}, {"send", "What the gateway sends"},
	} {
		fmt.Fprintf(&b, "\n## %s\n", action.title)
		for _, op := range slices.Sorted(maps.Keys(operations)) {
			o := operations[op].(map[string]any)
			if o["action"] != action.name {
				continue
			}
			for _, m := range refs(o["messages"]) {
				if !in[m] {
					in[m] = true
					s.message(&b, m)
				}
			}
		}
		if action.name == "receive" {
			continue
		}
		for _, m := range slices.Sorted(maps.Keys(s.at("components", "messages"))) {
			if !in[m] {
				s.message(&b, m)
			}
		}
	}
	return []byte(b.String())
}

func (s *spec) message(b *strings.Builder, name string) {
	m := s.at("components", "messages", name)
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", name, m["summary"])
	payload := m["payload"].(map[string]any)
	b.WriteString("| field | type | |\n|---|---|---|\n")
	s.fields(b, "", payload, 0)
	for _, e := range m["examples"].([]any) {
		text, _ := json.Marshal(e.(map[string]any)["payload"]) // it was unmarshalled
		fmt.Fprintf(b, "\n```json\n%s\n```\n", text)
	}
}

// maxNested is how deep fields are listed.
const maxNested = 4

// fields writes a row for each field of an object, and of those in it.
func (s *spec) fields(b *strings.Builder, prefix string, schema map[string]any, depth int) {
	schema = s.resolve(schema)
	for _, one := range list(schema["oneOf"]) {
		s.fields(b, prefix, one.(map[string]any), depth)
	}
	props, _ := schema["properties"].(map[string]any)
	required := list(schema["required"])
	for _, name := range slices.Sorted(maps.Keys(props)) {
		p := props[name].(map[string]any)
		full := s.resolve(p)
		note, _ := p["description"].(string)
		if note == "" {
			note, _ = full["description"].(string)
		}
		if !slices.Contains(required, any(name)) {
			note = strings.TrimSpace("Optional. " + note)
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, name, kind(full), strings.ReplaceAll(note, "|", "\\|"))
		if depth < maxNested {
			s.fields(b, prefix+name+".", full, depth+1)
			if items, ok := full["items"].(map[string]any); ok {
				s.fields(b, prefix+name+"[].", items, depth+1)
			}
		}
	}
}

// resolve follows a reference.
func (s *spec) resolve(schema map[string]any) map[string]any {
	if all := list(schema["allOf"]); len(all) == 1 {
		schema = all[0].(map[string]any)
	}
	if ref, ok := schema["$ref"].(string); ok {
		return s.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return schema
}

// kind says in a word what a schema allows.
func kind(schema map[string]any) string {
	switch c, isConst := schema["const"]; {
	case isConst:
		text, _ := json.Marshal(c) // it was unmarshalled
		return "`" + string(text) + "`"
	case schema["enum"] != nil:
		var words []string
		for _, v := range list(schema["enum"]) {
			words = append(words, fmt.Sprintf("`%v`", v))
		}
		return strings.Join(words, ", ")
	case schema["type"] != nil:
		return strings.Trim(fmt.Sprint(schema["type"]), "[]")
	case schema["oneOf"] != nil:
		return "one of these"
	}
	return "any"
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// refs returns the last names of a list of references.
func refs(v any) (names []string) {
	for _, r := range list(v) {
		ref, _ := r.(map[string]any)["$ref"].(string)
		names = append(names, ref[strings.LastIndexByte(ref, '/')+1:])
	}
	return names
}
