package e2e

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// internalSpec sends what /openapi.json documents to the internal port of a gateway.
type internalSpec struct {
	*specification
	g    *gateway
	seen map[string]bool // operation and status
}

// TestInternalPortAsSpecified: each request that /openapi.json documents is sent, each answer is one that
// it documents, and nothing else answers.
func TestInternalPortAsSpecified(t *testing.T) {
	t.Parallel()
	g := start(t, config(nil, fmt.Sprintf("admin: {listen: \"127.0.0.1:0\", direct: true, pprof: true, write: true, "+
		"token_file: %q}\ningest: {market: false}\n", adminTokenFile())))
	join(t, g, "42")
	s := &internalSpec{g.specification(t, "openapi.json"), g, map[string]bool{}}
	paths := s.object(s.doc, "paths")
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			s.operation(method, path, operation)
		}
	}
	// 502 and 503 take a Kafka, a gateway or a profile that fails: other tests have them.
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			for code := range s.object(operation, "responses") {
				if !s.seen[method+path+code] && code != "502" && code != "503" {
					t.Errorf("%s %s is never answered with %s", method, path, code)
				}
			}
		}
	}
	_, text := g.get("/nothing")
	for _, word := range strings.Fields(text[strings.Index(text, "which has")+len("which has"):]) {
		path, _, _ := strings.Cut(word, `"`)
		if path != "/docs/guide/" && paths[path] == nil {
			t.Errorf("%s is not in the specification", path)
		}
	}
}

// operation sends a documented request, and those that its errors are documented for.
func (s *internalSpec) operation(method, path string, operation any) {
	responses := s.object(operation, "responses")
	target, body, kind := s.target(path, operation), "", ""
	if content := s.object(operation, "requestBody", "content"); content != nil {
		kind = slices.Sorted(maps.Keys(content))[0]
		if example := s.at(content[kind], "example"); example != nil {
			body = string(encoded(example))
			schema := s.schema("paths", path, method, "requestBody", "content", kind, "schema")
			if err := valid(schema, []byte(body)); err != nil {
				s.t.Errorf("the example of %s: %v", path, err)
			}
		}
	}
	f := func(body string, headers ...string) int {
		return s.send(method, method, path, target, body, headers...)
	}
	f(body, "Content-Type", kind)
	if kind == "" && method == "get" {
		f(body, "Accept", "application/json")
		s.send("head", method, path, target, "")
	}
	s.send("patch", method, path, target, "")
	for code := range responses {
		switch code {
		case "400":
			s.send(method, method, path, path, "{") // a GET takes no body, and a POST another one
		case "401":
			f(body, "Authorization", "Bearer wrong")
		case "403":
			f(body, "Sec-Fetch-Site", "cross-site")
		case "404":
			s.send(method, method, path, strings.Replace(path, "{page}", "nothing", 1), "")
		case "409":
			f(`{"user":"42","revoke":true}`)
		case "413":
			f(strings.Replace(body, `":"`, `":"`+strings.Repeat("x", 2<<20), 1))
		case "421":
			f(body, "Host", "gateway.example.com")
		}
	}
}

// target fills in the parameters of a path: with their examples, or what else they may be.
func (s *internalSpec) target(path string, operation any) string {
	query := url.Values{}
	list, _ := s.at(operation, "parameters").([]any)
	for _, p := range list {
		schema := s.object(p, "schema")
		v := s.at(p, "example")
		if enum, _ := schema["enum"].([]any); v == nil && enum != nil {
			v = enum[0]
		}
		text := fmt.Sprint(cmp.Or(v, schema["default"]))
		if name := fmt.Sprint(s.at(p, "name")); s.at(p, "in") == "path" {
			path = strings.Replace(path, "{"+name+"}", text, 1)
		} else {
			query.Set(name, text)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// send sends a request. Its answer must be one of those of the operation documented.
func (s *internalSpec) send(method, documented, path, target, body string, headers ...string) int {
	s.t.Helper()
	r, err := http.NewRequest(strings.ToUpper(method), "http://"+s.g.admin+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	resp, err := admin.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	code := fmt.Sprint(resp.StatusCode)
	s.seen[documented+path+code] = true
	response := s.object(s.doc, "paths", path, documented, "responses", code)
	if response == nil {
		s.t.Errorf("%s %s is answered with %s, which is not documented: %.200s", method, target, code, text)
		return resp.StatusCode
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	content := s.object(response, "content")
	if content[kind] == nil {
		s.t.Errorf("%s %s is answered with %s %s, and documented are %v", method, target, code, kind, content)
	}
	if kind != "application/json" || method == "head" {
		return resp.StatusCode
	}
	at := []string{"paths", path, documented, "responses", code}
	direct := s.object(s.doc, "paths", path, documented, "responses")[code].(map[string]any)
	if ref, ok := direct["$ref"].(string); ok {
		at = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	}
	if err := valid(s.schema(append(at, "content", kind, "schema")...), text); err != nil {
		s.t.Errorf("%s %s is answered with %s: %v", method, target, text, err)
	}
	return resp.StatusCode
}
