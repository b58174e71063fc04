package client

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tapecast/server/client/shape"
)

const specification = "../web/asyncapi.yaml"

// envelopes are the messages that are no room's: a frame may be each of them.
var envelopes = []string{"messages/errorReply/payload", "messages/subscribeReply/payload", "messages/gap/payload"}

// TestTypesAsSpecified: the types of what goes over the socket have the properties of their schemas, and each with
// its type. What the client does not need is named here.
func TestTypesAsSpecified(t *testing.T) {
	s, err := shape.Load(specification)
	if err != nil {
		t.Fatal(err)
	}
	f := func(typed any, schemas []string, unread ...string) {
		t.Helper()
		var all []shape.Shape
		for _, path := range schemas {
			one, err := s.At(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		schema := shape.Merge(all...)
		for _, fault := range shape.Faults(schema, shapeOf(t, reflect.TypeOf(typed), schema), unread...) {
			t.Errorf("%T and %s: %s", typed, strings.Join(schemas, ", "), fault)
		}
	}
	one := func(path string) []string { return []string{path} }
	params := func(name string) []string { return one("messages/" + name + "/payload/properties/params") }
	f(frame{}, append([]string{"messages/message/payload"}, envelopes...))
	f(Message{}, one("messages/message/payload"))
	f(Error{}, one("schemas/Error"))
	f(retry{}, one("schemas/Error/properties/data/oneOf/0"))
	f(NextPositions{}, one("schemas/Since/additionalProperties/oneOf/1"))
	f(answer{}, append(params("joined"), "schemas/Member", "schemas/Refused"), "keys", "max_rate", "partial", "full")
	f(roomList{}, one("schemas/Rooms"))
	f(identity{}, one("schemas/Identity"), "clientId", "userId", "expires")
	f(leftNotice{}, params("left"))
	f(leftNotice{}.Rooms, one("schemas/Member"), "status", "class", "chain", "already", "keys", "max_rate",
		"positions", "partial", "full", "recovered", "error", "rooms")
	f(limitNotice{}, params("limit"), "limit", "most")
	f(gapNotice{}, params("gap"))
	f(resetNotice{}, params("reset"))
	f(snapshotBeginNotice{}, params("snapshot_begin"), "partial")
	f(snapshotEndNotice{}, params("snapshot_end"), "partial")

	f(request{}, one("messages/subscribe/payload"), "jsonrpc")
	f(authenticateParams{}, params("authenticate"), "certificate", "positions", "snapshot", "since")
	f(subscribeParams{}, one("messages/subscribe/payload/properties/params/oneOf/0"))
	f(unsubscribeParams{}, one("messages/unsubscribe/payload/properties/params/oneOf/0"))
}

// TestPositionsAsSpecified: Positions has the schema's epoch, and a number by partition.
func TestPositionsAsSpecified(t *testing.T) {
	s, err := shape.Load(specification)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := s.At("schemas/Positions")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(Positions{Epoch: "k3x9", Offsets: map[int32]int64{0: 1234}})
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	typed := shape.Shape{}
	for name, v := range values {
		kind, _ := kindOf(reflect.TypeOf(v))
		if name == "0" {
			name = "*"
		}
		typed[name] = shape.Field{Kind: kind}
	}
	for _, fault := range shape.Faults(schema, typed) {
		t.Error("Positions: " + fault)
	}
}

// TestNoticesAsSpecified: each notice of the specification is taken, or is one of these: they begin and end a
// connection (Tape.take), or are told to the application alone.
func TestNoticesAsSpecified(t *testing.T) {
	s, err := shape.Load(specification)
	if err != nil {
		t.Fatal(err)
	}
	taken := []string{"auth_required", "auth_expiring", "auto_subscribed", "authenticated", "conflated",
		"server_shutdown"}
	for name := range notices {
		taken = append(taken, name)
	}
	slices.Sort(taken)
	if all := s.Notices(); !slices.Equal(taken, all) {
		t.Errorf("the client takes %q, and the specification has %q", taken, all)
	}
}

// shapeOf returns the shape of a struct, or of the elements of a list. As encoding/json reads it, a field without a
// tag has the schema's name in whichever case.
func shapeOf(t *testing.T, typed reflect.Type, schema shape.Shape) shape.Shape {
	t.Helper()
	if typed.Kind() == reflect.Slice {
		typed = typed.Elem()
	}
	all := shape.Shape{}
	for field := range typed.Fields() {
		if !field.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
			for of := range schema {
				if strings.EqualFold(of, name) {
					name = of
				}
			}
		}
		kind, ok := kindOf(field.Type)
		if typed == reflect.TypeFor[request]() && name == "id" && kind == "number" {
			kind = schema[name].Kind // ours are numbers alone
		}
		if !ok {
			t.Errorf("%s.%s: JSON has no such type as %s", typed, field.Name, field.Type)
		}
		all[name] = shape.Field{Kind: kind}
	}
	return all
}

// kindOf returns the JSON type of a Go type.
func kindOf(typed reflect.Type) (kind string, ok bool) {
	switch typed {
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any](), reflect.TypeFor[requestID]():
		return shape.Any, true
	}
	switch typed.Kind() {
	case reflect.Pointer:
		return kindOf(typed.Elem())
	case reflect.String:
		return "string", true
	case reflect.Bool:
		return "boolean", true
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64, reflect.Float64:
		return "number", true
	case reflect.Slice:
		return "array", true
	case reflect.Struct, reflect.Map:
		return "object", true
	}
	return "", false
}
