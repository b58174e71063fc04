package shape

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Any is the kind of a value that may have each JSON type.
const Any = "any"

// Field is a property: the JSON types that its value may have, sorted and joined with "|", and whether each
// object must have it.
type Field struct {
	Kind     string
	Required bool
}

// Shape is the properties of an object by their names. Further names, as of a map, have the name "*".
type Shape map[string]Field

// Specification is an AsyncAPI document.
type Specification struct{ root map[string]any }

// Load reads a specification in YAML.
func Load(path string) (*Specification, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(Specification)
	if err := yaml.Unmarshal(b, &s.root); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return s, nil
}

// At returns the shape of the object at a path below components, such as messages/gap/payload/properties/params.
// Alternatives make one shape: a property is required if it is in all of them.
func (s *Specification) At(path string) (Shape, error) {
	at, err := s.find("#/components/" + path)
	if err != nil {
		return nil, err
	}
	return s.shape(at)
}

// Notices returns the names of the messages that the gateway sends by itself and that are no room's.
func (s *Specification) Notices() (names []string) {
	at, _ := s.find("#/components/messages")
	all, _ := at.(map[string]any)
	for name := range all {
		shape, err := s.At("messages/" + name + "/payload")
		if err == nil && shape["method"].Required && shape["jsonrpc"].Required { // of a request it is not
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *Specification) find(ref string) (any, error) {
	var at any = s.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		switch in := at.(type) {
		case map[string]any:
			at = in[name]
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n >= len(in) {
				return nil, fmt.Errorf("%s: there is no %q", ref, name)
			}
			at = in[n]
		}
		if at == nil {
			return nil, fmt.Errorf("%s: there is no %q", ref, name)
		}
	}
	return at, nil
}

// alternatives follows $ref, allOf and oneOf to the schemas that say something themselves.
func (s *Specification) alternatives(schema any) ([]map[string]any, error) {
	m, ok := schema.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%v is not a schema", schema)
	}
	if ref, ok := m["$ref"].(string); ok {
		to, err := s.find(ref)
		if err != nil {
			return nil, err
		}
		return s.alternatives(to)
	}
	var all []map[string]any
	for _, list := range []any{m["allOf"], m["oneOf"]} {
		each, _ := list.([]any)
		for _, one := range each {
			found, err := s.alternatives(one)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	if all == nil {
		all = append(all, m)
	}
	return all, nil
}

func (s *Specification) shape(schema any) (Shape, error) {
	all, err := s.alternatives(schema)
	if err != nil {
		return nil, err
	}
	shape, in := Shape{}, map[string]int{}
	for _, one := range all {
		properties, _ := one["properties"].(map[string]any)
		required, _ := one["required"].([]any)
		for name, of := range properties {
			kind, err := s.kind(of)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if slices.Contains(required, any(name)) {
				in[name]++
			}
			shape[name] = Field{Kind: Join(shape[name].Kind, kind), Required: in[name] == len(all)}
		}
		more, _ := one["patternProperties"].(map[string]any)
		others := slices.Collect(maps.Values(more))
		if of, ok := one["additionalProperties"].(map[string]any); ok {
			others = append(others, of)
		}
		for _, of := range others {
			kind, err := s.kind(of)
			if err != nil {
				return nil, err
			}
			shape["*"] = Field{Kind: Join(shape["*"].Kind, kind)}
		}
	}
	return shape, nil
}

func (s *Specification) kind(schema any) (string, error) {
	all, err := s.alternatives(schema)
	if err != nil {
		return "", err
	}
	kind := ""
	for _, one := range all {
		kind = Join(kind, kindOf(one))
	}
	return kind, nil
}

func kindOf(schema map[string]any) string {
	values, _ := schema["enum"].([]any)
	if v, ok := schema["const"]; ok {
		values = append(values, v)
	}
	types, ok := schema["type"].([]any)
	if v, is := schema["type"]; !ok && is {
		types = append(types, v)
	}
	kind := ""
	for _, v := range types {
		if v == "integer" {
			v = "number"
		}
		kind = Join(kind, fmt.Sprint(v))
	}
	for _, v := range values {
		switch v.(type) {
		case string:
			kind = Join(kind, "string")
		case bool:
			kind = Join(kind, "boolean")
		default:
			kind = Join(kind, "number")
		}
	}
	if kind == "" {
		return Any
	}
	return kind
}

// Join returns the kind of values that are of either kind.
func Join(a, b string) string {
	all := slices.Concat(strings.Split(a, "|"), strings.Split(b, "|"))
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
	if slices.Contains(all, Any) {
		return Any
	}
	return strings.Join(all, "|")
}

// Merge returns the properties of all shapes. Those that one of them lacks are not required.
func Merge(shapes ...Shape) Shape {
	all, in := Shape{}, map[string]int{}
	for _, shape := range shapes {
		for name, f := range shape {
			if f.Required {
				in[name]++
			}
			all[name] = Field{Kind: Join(all[name].Kind, f.Kind), Required: in[name] == len(shapes)}
		}
	}
	return all
}

// Faults returns how a type differs from its schema. Each name in unread is of the schema alone. What a type has
// as Any fits to each kind, and what the schema requires may be optional in a type, but not the other way round.
func Faults(schema, typed Shape, unread ...string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(schema)) {
		want := schema[name]
		got, ok := typed[name]
		switch unread := slices.Contains(unread, name); {
		case unread && ok:
			fault("%s is said to be in the schema alone, and the type has it", name)
		case !unread && !ok:
			fault("the type lacks %s (%s)", name, want.Kind)
		case ok && got.Kind != want.Kind && got.Kind != Any:
			fault("%s is %s in the type, and %s in the schema", name, got.Kind, want.Kind)
		case ok && got.Required && !want.Required:
			fault("%s may be absent, which the type does not allow", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(typed)) {
		if _, ok := schema[name]; !ok {
			fault("the schema lacks %s, which the type has", name)
		}
	}
	for _, name := range unread {
		if _, ok := schema[name]; !ok {
			fault("%s is said to be in the schema alone, which lacks it", name)
		}
	}
	return faults
}
