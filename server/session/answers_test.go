package session

import (
	"encoding/json"
	"strings"
	"testing"
)

// saying returns functions that send a client's request, and compare the answer, or its error's code and words.
func saying(t *testing.T, c *fakeConn) (f func(text, want string), fails func(text, code, words string)) {
	f = func(text, want string) {
		t.Helper()
		got := steady(c.says(text))
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
		for line := range strings.Lines(got) {
			if s := strings.ReplaceAll(line, "…", "0"); !json.Valid([]byte(s)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
	fails = func(text string, code string, words string) {
		t.Helper()
		got := c.says(text)
		if !strings.Contains(got, `"error":{"code":`+code+`,`) || !strings.Contains(got, words) {
			t.Errorf("%s\ngot  %s\nwant code %s, %q", text, got, code, words)
		}
	}
	return f, fails
}

func TestMethods(t *testing.T) {
	c := login(t, newTestHandler(t), "42")
	f, _ := saying(t, c)
	const at = `"chain":true,"positions":{"epoch":"e1","0":7}}`
	newest := strings.Replace(at, "true", "false", 1) // what a conflated room promises
	f(`{"method":"ping","id":1}`, `{"jsonrpc":"2.0","id":1,"result":{"timestamp":…}}`)
	f(`{"method":"heartbeat","id":null}`, `{"jsonrpc":"2.0","id":null,"result":{"timestamp":…}}`)
	f(`{"method":"ping"}`, ``)

	f(`{"method":"subscribe","params":{"rooms":["trades:A"]},"id":"x"}`,
		`{"jsonrpc":"2.0","id":"x","result":{"rooms":[{"room":"trades:A","status":"joined","class":"stream",`+at+`]}}`)
	f(`{"method":"subscribe","params":{"rooms":["trades:A","nope","orders:43","prices:B"],"snapshot":false,`+
		`"since":null,"extra":1},"id":1}`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"trades:A","status":"joined","class":"stream",`+
			strings.Replace(at, "true", `true,"already":true`, 1)+`,`+
			`{"room":"nope","error":{"code":-32006,"message":"unknown room"}},{"room":"orders:43",`+
			`"error":{"code":-32007,"message":"forbidden: the room is another user's"}},`+
			`{"room":"prices:B","status":"joined","class":"market",`+newest+`]}}`)
	f(`{"method":"SUBSCRIBE","params":["trades:A","trades:C"],"id":1}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
	f(`{"method":"SUBSCRIBE","params":["trades:D"]}`, ``)
	f(`{"method":"SUBSCRIBE","params":["no\"pe","orders:43","trades:C"],"id":1}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"subscription failed; \"no\\\"pe\": unknown room; `+
			`\"orders:43\": forbidden: the room is another user's"}}`)
	f(`{"method":"SUBSCRIBE","params":["a","b","c","d","e","f","g","h","i","j","k","l"],"id":1}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"subscription failed; \"a\": unknown room; \"b\": `+
			`unknown room; \"c\": unknown room; \"d\": unknown room; \"e\": unknown room; `+
			`\"f\": unknown room; \"g\": unknown room; \"h\": unknown room; \"i\": unknown room; \"j\": unknown `+
			`room; and 2 more"}}`)

	f(`{"method":"unsubscribe","params":{"rooms":["trades:A","trades:Z"]},"id":1}`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"trades:A","status":"left","class":"stream",`+at+
			`,{"room":"trades:Z","error":{"code":-32005,"message":"unsubscribe failed: the connection is not in this `+
			`room"}}]}}`)
	f(`{"method":"UNSUBSCRIBE","params":["trades:A","trades:C"],"id":1}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
	f(`{"method":"UNSUBSCRIBE","params":["trades:D"]}`, ``)
	if s := sessionOf(c); s.rooms != 8 { // the seven, and prices:B
		t.Errorf("%d rooms are counted", s.rooms)
	}
	f(`{"method":"UNSUBSCRIBE","params":["prices","trades","system_alerts","user:42","portfolio:42",`+
		`"notifications:42"],"id":1}`, `{"jsonrpc":"2.0","id":1,"result":null}`)
	f(`{"method":"list_subscriptions","id":1}`,
		`{"jsonrpc":"2.0","id":1,"result":{"rooms":[{"room":"orders:42","status":"joined","class":"private",`+at+
			`,{"room":"prices:B","status":"joined","class":"market",`+newest+`]}}`)
	f(`{"method":"list_subscriptions"}`, ``)
	if c.closed() != 0 {
		t.Errorf("closed with %d", c.closed())
	}
}

func TestBadParams(t *testing.T) {
	c := login(t, newTestHandler(t), "42")
	f, fails := saying(t, c)
	f(`{"method":"dance","id":1}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"unknown method \"dance\": known are authenticate, `+
			`subscribe, unsubscribe, list_subscriptions, ping and heartbeat"}}`)
	f(`{"method":"dance"}`, ``)
	for _, m := range misnamed {
		fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"`+m.name+`":{}},"id":1}`, "-32602",
			"params."+m.name+" is not known here: "+m.remedy)
	}
	fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"keys":"BTC"},"id":1}`, "-32602",
		"params.keys must be a list")
	fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"keys":[]},"id":1}`, "-32602",
		"params.keys must be a list")
	fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"keys":["A",1]},"id":1}`, "-32602",
		"params.keys[1] must be a string")
	for since, words := range map[string]string{
		`[]`:                              "params.since must be an object of positions by room",
		`{"trades:A":1}`:                  `params.since[\"trades:A\"] must be an object`,
		`{"x":{"epoch":1}}`:               "has an epoch that is not a string",
		`{"x":{"0":"1"}}`:                 `not \"0\": \"1\"`,
		`{"x":{"-1":1}}`:                  "partition numbers",
		`{"x":{"0":-2}}`:                  "partition numbers",
		`{"x":{"0":1.5}}`:                 "partition numbers",
		`{"trades:A":{"0":1.0,"1":true}}`: `not \"1\": true`, // 1.0 is 1
		`{"x":{"part":1}}`:                `not \"part\": 1`,
		`{"x":{"1e3":1}}`:                 "partition numbers",
		`{"x":{"9999999999":1}}`:          "partition numbers",
		`{"x":{"ts":0}}`: `params.since[\"x\"].ts must be a time in whole milliseconds since 1970, ` +
			`not 0`,
		`{"x":{"ts":-5}}`:                  "not -5",
		`{"x":{"ts":1699123456}}`:          "whole milliseconds",
		`{"x":{"ts":"now"}}`:               `not \"now\"`,
		`{"x":{"ts":1699123456789,"0":4}}`: "give a time, or the epoch and offsets",
	} {
		fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"since":`+since+`},"id":1}`, "-32602", words)
	}
	if c.closed() != 0 {
		t.Errorf("closed with %d", c.closed())
	}
}

func TestBadRequests(t *testing.T) {
	c := login(t, newTestHandler(t), "42")
	f, fails := saying(t, c)
	fails(`{"method":"subscribe","params":{"rooms":["trades:A"],"snapshot":1},"id":1}`, "-32602", "params.snapshot")
	fails(`{"method":"subscribe","id":1}`, "-32602", "params.rooms")
	fails(`{"method":"unsubscribe","params":{},"id":1}`, "-32602", "params.rooms")
	fails(`{"method":"authenticate","params":["x"],"id":1}`, "-32602", "takes an object")
	fails(`{"method":"authenticate","params":{"token":1},"id":1}`, "-32602", "params.token must be a string")
	fails(`{"method":"authenticate","params":{"token":"x","positions":1},"id":1}`, "-32602", "params.positions")
	fails(`{"method":"authenticate","params":{"token":"x","join":"prices"},"id":1}`, "-32602", "params.join")
	fails(`[{"method":"ping","id":1}]`, "-32600", "batches")
	fails(`{"method":"ping","id":{}}`, "-32600", "")
	fails(`{"op":"subscribe","args":["trades"]}`, "-32600", `"id":null`)
	fails(`{"method":"ping","id":1,"id":1}`, "-32600", `\"id\" stands twice in one object; leave one of them out`)
	f(`{"method":"ping","id":"\ud800"}`, `{"jsonrpc":"2.0","id":"\ud800","result":{"timestamp":…}}`)
	fails(`x`, "-32700", "not valid JSON")
	if c.closed() != 0 {
		t.Errorf("closed with %d", c.closed())
	}
}
