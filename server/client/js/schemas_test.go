package js

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tapecast/server/client/shape"
)

// TestTypesAsSpecified: the types of what goes over the socket have the properties of their schemas, and each with
// its type. What the client does not need, or says nothing of, is named here; what it adds is in added.
func TestTypesAsSpecified(t *testing.T) {
	s, err := shape.Load("../../web/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	types := readTypes(t, "src/api.ts", "src/wire.ts")
	held := map[string]bool{}
	f := func(name string, schemas []string, unread ...string) {
		t.Helper()
		var all []shape.Shape
		for _, path := range schemas {
			one, err := s.At(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		typed := types.shape(t, name)
		if name == "Gap" {
			delete(typed, "cause") // the client's own
		}
		for _, fault := range shape.Faults(shape.Merge(all...), typed, unread...) {
			t.Errorf("%s and %s: %s", name, strings.Join(schemas, ", "), fault)
		}
		held[name] = true
	}
	one := func(path string) []string { return []string{path} }
	params := func(name string) []string { return one("messages/" + name + "/payload/properties/params") }
	f("Message", one("messages/message/payload"))
	f("Positions", one("schemas/Positions"))
	f("NextPositions", one("schemas/Since/additionalProperties/oneOf/1"))
	f("Gap", params("gap"))
	f("Reset", params("reset"))
	f("Joined", one("schemas/Member"), "status", "already", "keys", "max_rate", "partial", "full", "error", "rooms")
	f("TapeError", one("schemas/Error"), "message") // as each Error has it

	f("WireError", one("schemas/Error"))
	f("ErrorData", one("schemas/Error/properties/data"))
	f("Answer", append(params("joined"), "schemas/Member", "schemas/Refused"))
	f("Rooms", one("schemas/Rooms"))
	f("Identity", one("schemas/Identity"))
	f("Frame", []string{"messages/errorReply/payload", "messages/subscribeReply/payload", "messages/gap/payload"})
	f("GapNotice", params("gap"))
	f("ResetNotice", params("reset"))
	f("SnapshotBegin", params("snapshot_begin"))
	f("SnapshotEnd", params("snapshot_end"))
	f("LeftNotice", params("left"))
	f("LimitNotice", params("limit"))
	f("Since", one("schemas/Since"))
	f("AuthenticateParams", params("authenticate"), "certificate", "positions", "snapshot", "since")
	f("SubscribeParams", one("messages/subscribe/payload/properties/params/oneOf/0"))
	f("UnsubscribeParams", one("messages/unsubscribe/payload/properties/params/oneOf/0"))
	for _, name := range readTypes(t, "src/wire.ts").names() {
		if !held[name] {
			t.Errorf("%s of wire.ts is held to no schema", name)
		}
	}
}

// TestNoticesAsSpecified: the client names each notice of the specification, but for those that are told to the
// application alone, and no other.
func TestNoticesAsSpecified(t *testing.T) {
	s, err := shape.Load("../../web/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	taken := []string{"authenticated", "conflated", "server_shutdown"}
	for _, file := range []string{"src/link.ts", "src/client.ts"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`method === "(\w+)"`).FindAllSubmatch(text, -1) {
			taken = append(taken, string(m[1]))
		}
	}
	slices.Sort(taken)
	if all := s.Notices(); !slices.Equal(taken, all) {
		t.Errorf("the client takes %q, and the specification has %q", taken, all)
	}
}

// types are interfaces by their names: what stands between their braces.
type types map[string]string

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	interfaces = regexp.MustCompile(`(?ms)^export interface (\w+)[^{\n]*\{\n(.*?)^\}`)
	properties = regexp.MustCompile(`^(?:readonly )?(\w+|\[\w+: string\])(\??): (.+)$`)
)

func readTypes(t *testing.T, files ...string) types {
	t.Helper()
	all := types{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range interfaces.FindAllStringSubmatch(comments.ReplaceAllString(string(text), ""), -1) {
			all[m[1]] = m[2]
		}
	}
	return all
}

func (all types) names() []string { return slices.Sorted(maps.Keys(all)) }

// shape returns the shape of an interface. Each of its lines has one property.
func (all types) shape(t *testing.T, name string) shape.Shape {
	t.Helper()
	body, ok := all[name]
	if !ok {
		t.Fatalf("there is no interface %s", name)
	}
	typed := shape.Shape{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ";")
		if line == "" {
			continue
		}
		m := properties.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%s: cannot read %q", name, line)
		}
		property, kind := m[1], ""
		for one := range strings.SplitSeq(m[3], " | ") {
			kind = shape.Join(kind, all.kind(t, one))
		}
		if strings.HasPrefix(property, "[") { // TypeScript wants the types of all properties here
			property = "*"
			if kind == "number|string" {
				kind = "number"
			}
		}
		typed[property] = shape.Field{Kind: kind, Required: m[2] == ""}
	}
	if f, ok := typed["*"]; ok {
		typed["*"] = shape.Field{Kind: f.Kind}
	}
	return typed
}

// kind returns the JSON type of a TypeScript type that is no union.
func (all types) kind(t *testing.T, text string) string {
	t.Helper()
	switch {
	case text == "string", text == "number", text == "boolean", text == "null":
		return text
	case text == "undefined":
		return ""
	case text == "any", text == "unknown", text == "T":
		return shape.Any
	case text == "true", text == "false":
		return "boolean"
	case strings.HasPrefix(text, `"`):
		return "string"
	case strings.HasSuffix(text, "[]"):
		return "array"
	case strings.HasPrefix(text, "Record<"), all[text] != "":
		return "object"
	}
	t.Fatalf("cannot read the type %q", text)
	return ""
}
