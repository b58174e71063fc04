package server

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// misfits are the places where a JSON value is not like a shape: it has the members of the
// shape and no others, each of the type there. A name with "?" may be missing, "*" stands for
// names of any kind, 0 for integers and 0.5 for all numbers.
func misfits(at string, got, shape any) (list []string) {
	want, isObject := shape.(map[string]any)
	object, ok := got.(map[string]any)
	if isObject != ok {
		return []string{fmt.Sprintf("%s is %v", at, got)}
	}
	for name, v := range object {
		s, known := want[name]
		if !known {
			s, known = want[name+"?"]
		}
		if !known {
			s, known = want["*"]
		}
		if !known {
			list = append(list, at+" has "+name)
			continue
		}
		list = append(list, misfits(at+"."+name, v, s)...)
	}
	for name := range want {
		_, there := object[name]
		if !there && !strings.HasSuffix(name, "?") && name != "*" || name == "*" && len(object) == 0 {
			list = append(list, at+" has no "+name)
		}
	}
	switch s := shape.(type) {
	case []any:
		items, ok := got.([]any)
		if !ok {
			return append(list, fmt.Sprintf("%s is %v", at, got))
		}
		for i, it := range items {
			list = append(list, misfits(fmt.Sprintf("%s[%d]", at, i), it, s[0])...)
		}
	case float64:
		if n, ok := got.(float64); !ok || s == 0 && n != math.Trunc(n) {
			list = append(list, fmt.Sprintf("%s is %v", at, got))
		}
	case string, bool:
		if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", s) {
			list = append(list, fmt.Sprintf("%s is %v", at, got))
		}
	}
	return list
}

func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// TestShapes: what the internal port answers, name by name and with its types.
func TestShapes(t *testing.T) {
	s := startServer(t)
	enter(t, s, "42")
	eventually(t, "the loops have published their figures", func() bool {
		_, _, body := s.ask(t, "GET", "/connections", "")
		return strings.Contains(body, `"members":1`)
	})
	f := func(method, path, body, shape string, headers ...string) any {
		t.Helper()
		_, _, text := s.ask(t, method, path, body, headers...)
		got := parsed(t, text)
		if list := misfits("", got, parsed(t, shape)); list != nil {
			slices.Sort(list)
			t.Errorf("%s:\n%s\n%s", path, strings.Join(list, "\n"), text)
		}
		return got
	}
	service := `{"status":"","isRunning":true,"detail?":"","since":0,"lastError?":"","restarts":0,` +
		`"restartReason?":""}`
	health := f("GET", "/health", "",
		`{"status":"","timestamp":0,"services":{"ConnectionManager":`+service+`,"KafkaConsumer":`+
			service+`,"RateLimiter":`+service+`,"AuthService":`+service+`,"ConnectionHandler":`+service+`}}`)
	at := time.UnixMilli(int64(health.(map[string]any)["timestamp"].(float64)))
	if time.Since(at).Abs() > time.Minute {
		t.Errorf("/health has the time %s", at)
	}
	f("GET", "/livez", "", `{"status":"","reason?":""}`)
	f("GET", "/readyz", "", `{"status":"","reason?":""}`)
	f("GET", "/metrics", "",
		`{"services":{"ConnectionManager":{"status":"","connections":0},"KafkaConsumer":{"status":"","processed":0},`+
			`"RateLimiter":{"status":"","requests":0},"AuthService":{"status":"","verifications":0},`+
			`"ConnectionHandler":{"status":"","pending":0}},`+
			`"serviceCount":{"total":0,"running":0,"initialized":0},"uptime":0.5,"pendingAuthentications":0}`,
		"Accept", "application/json")
	f("GET", "/connections", "",
		`{"connections":0,"authenticated":0,"pending":0,"subscriptions":0,"wildcards":0,"loops":[{"connections":0,`+
			`"authenticated":0,"subscriptions":0,"wildcards":0,"blocked":0,"framesSent":0,"bytesSent":0,"sends":0,`+
			`"partialSends":0,`+
			`"lastPassMs":0.5,"maxPassMs":0.5}],"classes":{"*":0},"topRooms":[{"room":"","class":"","members":0,`+
			`"frames":0,"bytes":0}],`+
			`"slowest":[{"conn":0,"clientId":"","remote":"","room":"","behind":0,"blocked":true}],"unanswered":[""]}`)
	f("POST", "/publish", `{"topic":"events","value":{"metadata":{"eventType":"system.alert"},"data":1}}`,
		`{"topic":"","partition":0,"offset":0}`)
	f("POST", "/publish", `{}`, `{"error":""}`)
	f("GET", "/nothing", "", `{"error":""}`)
	f("GET", "/connections?n=0", "", `{"error":""}`)
}

// TestMisfits: the test above finds what is not as it should be.
func TestMisfits(t *testing.T) {
	f := func(got, shape, want string) {
		t.Helper()
		if list := strings.Join(misfits("", parsed(t, got), parsed(t, shape)), ", "); list != want {
			t.Errorf("%s and %s: %s", got, shape, list)
		}
	}
	f(`{"a":1,"b":"x","c":true}`, `{"a":0,"b":"","c":false,"d?":0}`, "")
	f(`{"a":1.5}`, `{"a":0}`, ".a is 1.5")
	f(`{"a":1.5}`, `{"a":0.5}`, "")
	f(`{"a":"1"}`, `{"a":0}`, ".a is 1")
	f(`{"a":1}`, `{"a":""}`, ".a is 1")
	f(`{}`, `{"a":0}`, " has no a")
	f(`{"b":1}`, `{}`, " has b")
	f(`{"a":{}}`, `{"a":{"*":0}}`, ".a has no *")
	f(`{"a":{"x":true}}`, `{"a":{"*":0}}`, ".a.x is true")
	f(`{"a":[1,true]}`, `{"a":[0]}`, ".a[1] is true")
	f(`{"a":null}`, `{"a":[0]}`, ".a is <nil>")
	f(`[]`, `{}`, " is []")
}

func TestPrefersJSON(t *testing.T) {
	f := func(accept string, want bool) {
		t.Helper()
		if prefersJSON(accept) != want {
			t.Errorf("%q: not %v", accept, want)
		}
	}
	f("", false)
	f("*/*", false)
	f("application/json", true)
	f("Application/JSON; charset=utf-8", true)
	f("application/*", true)
	f("application/json;q=0", false)
	f("application/json;q=0, */*", false)
	f("application/json, text/plain, */*", false) // both alike
	f("application/json, text/plain;q=0.9", true)
	f("application/json, */*;q=0.8", true)
	f("text/*;q=0.5, application/json;q=0.6, text/plain;q=0.7", false)
	f("text/plain;q=0, application/json;q=0.1", true)
	f("application/json;q=x", false)
	f("application/json;q=2", false)
	f("application/json;q=0, application/json", true)
	f("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", false) // Prometheus
	f("nonsense,,application/json", true)
}
