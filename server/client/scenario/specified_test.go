package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tapecast/server/web"
)

// strange are the scenarios in which the gateway says what it never would, and the client must bear it, or the
// application sends a request that does not exist.
var strange = []string{
	"after an error without an id that is not followed by a close the client comes again",
	"frames that are none of the protocol's are told once, and the connection stays",
	"calls are answered, and wait for the connection",
}

// TestScenariosAsSpecified: what the gateway of the scenarios says, and what clients must send, is what
// /asyncapi.json documents. So the clients that play the scenarios are held to the same schemas.
func TestScenariosAsSpecified(t *testing.T) {
	all, err := Load("../scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	gateway, client := socketSchemas(t)
	seen := map[string]int{}
	for _, s := range all {
		for _, step := range s.Steps {
			list, messages := gateway, []any{}
			switch step.Verb {
			case "send":
				messages = append(messages, sent(step.Arg))
			case "reply", "error":
				messages = append(messages, answerTo(1, step.Verb, step.Arg))
			case "get":
				list = client
				for method, params := range step.Arg.(map[string]any) {
					messages = append(messages, map[string]any{"id": 1, "method": method, "params": params})
				}
			}
			for _, m := range messages {
				text, _ := json.Marshal(m) // it was read as YAML
				if names := fitting(list, text); len(names) == 1 {
					seen[names[0]]++
				} else if !slices.Contains(strange, s.Name) {
					t.Errorf("%q, line %d: %s may be any of %q", s.Name, step.Line, text, names)
				}
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %v occur", seen)
	}
}

// fitting returns the names of the messages that a text may be.
func fitting(list map[string]*jsonschema.Schema, text []byte) (names []string) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	for name, s := range list {
		if s.Validate(v) == nil {
			names = append(names, name)
		}
	}
	return names
}

// socketSchemas returns the schemas of /asyncapi.json by name: what the gateway sends, and what a client does.
func socketSchemas(t *testing.T) (gateway, client map[string]*jsonschema.Schema) {
	t.Helper()
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	at := slices.IndexFunc(pages, func(p web.Page) bool { return p.Path == "/asyncapi.json" })
	pages[at].Serve(w, httptest.NewRequest(http.MethodGet, "/asyncapi.json", nil))
	var doc struct {
		Operations map[string]struct {
			Action   string
			Messages []map[string]string
		}
		Components struct{ Messages map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("asyncapi.json", raw); err != nil {
		t.Fatal(err)
	}
	gateway, client = map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}
	for name := range doc.Components.Messages {
		at := fmt.Sprintf("asyncapi.json#/components/messages/%s/payload", name)
		if gateway[name], err = c.Compile(at); err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range doc.Operations {
		for _, m := range op.Messages {
			if name := m["$ref"][strings.LastIndexByte(m["$ref"], '/')+1:]; op.Action == "receive" {
				client[name] = gateway[name]
			}
		}
	}
	for name := range client {
		delete(gateway, name)
	}
	return gateway, client
}
