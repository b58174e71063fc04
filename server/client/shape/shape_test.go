package shape

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAt(t *testing.T) {
	s, err := Load("../../web/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		shape, err := s.At(path)
		if err != nil {
			t.Error(err)
			return
		}
		var got []string
		for _, name := range slices.Sorted(maps.Keys(shape)) {
			text := name + ":" + shape[name].Kind
			if shape[name].Required {
				text += "!"
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, not %s", path, text, want)
		}
	}
	f("schemas/Positions", "*:number epoch:string")
	f("schemas/Since/additionalProperties/oneOf/1", "epoch:string next:object! topicId:string")
	f("schemas/Identity", "clientId:string! expires:number maxMessage:number! userId:null|string!")
	f("schemas/Refused", "error:object! room:string!")
	f("messages/errorReply/payload", "error:object! id:null|number|string! jsonrpc:string!")
	f("messages/ping/payload", "id:number|string jsonrpc:string method:string! params:array|null|object")
	f("messages/left/payload/properties/params", "code:number! message:string! rooms:array!")
	f("messages/snapshot_begin/payload/properties/params", "partial:boolean room:string!")
	if all := s.Notices(); len(all) < 10 || !slices.Contains(all, "gap") || slices.Contains(all, "ping") {
		t.Errorf("the notices are %q", all)
	}
	if _, err := s.At("schemas/Nothing"); err == nil {
		t.Error("a schema that does not exist has a shape")
	}
}

func TestFaults(t *testing.T) {
	schema := Shape{"room": {"string", true}, "ts": {"number", false}, "data": {Any, true}}
	f := func(typed Shape, want string, unread ...string) {
		t.Helper()
		if got := strings.Join(Faults(schema, typed, unread...), "; "); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	f(Shape{"room": {"string", false}, "ts": {"number", false}, "data": {Any, true}}, "")
	f(Shape{"room": {"string", true}, "data": {Any, true}}, "", "ts")
	f(Shape{"room": {"string", true}, "data": {Any, true}}, "the type lacks ts (number)")
	f(Shape{"room": {"number", true}, "data": {Any, true}},
		"room is number in the type, and string in the schema", "ts")
	f(Shape{"room": {"string", true}, "ts": {"number", true}, "data": {Any, true}},
		"ts may be absent, which the type does not allow")
	f(Shape{"room": {"string", true}, "ts": {"number", false}, "data": {Any, true}, "x": {"string", false}},
		"the schema lacks x, which the type has")
	f(Shape{"room": {"string", true}, "ts": {"number", false}, "data": {Any, true}},
		"ts is said to be in the schema alone, and the type has it; "+
			"y is said to be in the schema alone, which lacks it",
		"ts", "y")
}
