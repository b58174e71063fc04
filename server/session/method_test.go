package session

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"tapecast/rooms"
	"tapecast/rooms/wire"
	"tapecast/server/jsontext"
)

// parses returns a function that parses a request, and compares its method, id and fault.
func parses(t *testing.T) func(text string, wantOp op, wantID string, wantCode int) {
	return func(text string, wantOp op, wantID string, wantCode int) {
		t.Helper()
		q := new(request)
		fault := q.parse([]byte(text))
		if fault.code != wantCode || q.op != wantOp || string(q.id) != wantID {
			t.Errorf("%s:\ngot  op %d id %q fault %+v\nwant op %d id %q code %d", text, q.op, q.id, fault,
				wantOp, wantID, wantCode)
		}
	}
}

func TestRequestMethods(t *testing.T) {
	f := parses(t)
	// methods
	f(`{"method":"ping","id":1}`, opPing, "1", 0)
	f(`{"method":"PiNg","id":1}`, opPing, "1", 0)
	f(`{"method":"heartbeat","id":1}`, opPing, "1", 0)
	f(`{"method":"AUTHENTICATE","id":1}`, opAuthenticate, "1", 0)
	f(`{"method":"SUBSCRIBE","params":["prices"],"id":1}`, opSubscribe, "1", 0)
	f(`{"method":"UNSUBSCRIBE","params":[],"id":1}`, opUnsubscribe, "1", 0)
	f(`{"method":"List_Subscriptions","id":1}`, opList, "1", 0)
	f(`{"method":"list_subscriptionss","id":1}`, opUnknown, "1", 0)
	f(`{"method":"pin","id":1}`, opUnknown, "1", 0)
	f(`{"method":"p\u0069ng","id":1}`, opPing, "1", 0)
	f(`{"method":"@ING","id":1}`, opUnknown, "1", 0) // not every byte has a lower case
	f(`{"method":"","id":1}`, opUnknown, "1", 0)
	f(`{"id":1}`, opUnknown, "1", wire.CodeInvalid)
	f(`{"method":5,"id":1}`, opUnknown, "1", wire.CodeInvalid)
	f(`{"method":null,"id":"x"}`, opUnknown, `"x"`, wire.CodeInvalid)
}

func TestRequestIDs(t *testing.T) {
	f := parses(t)
	// ids
	f(`{"method":"ping"}`, opPing, "", 0)
	f(`{"method":"ping","id":null}`, opPing, "null", 0)
	f(`{"method":"ping","id":0}`, opPing, "0", 0)
	f(`{"method":"ping","id":-7}`, opPing, "-7", 0)
	f(`{"method":"ping","id":9223372036854775807}`, opPing, "9223372036854775807", 0)
	f(`{"method":"ping","id":1.0}`, opPing, "1.0", 0) // each comes back as it was spelt
	f(`{"method":"ping","id":1e+06}`, opPing, "1e+06", 0)
	f(`{"method":"ping","id":9223372036854775808}`, opUnknown, "9223372036854775808", wire.CodeInvalid)
	f(`{"method":"ping","id":18446744073709551615}`, opUnknown, "18446744073709551615", wire.CodeInvalid)
	f(`{"method":"ping","id":1.5}`, opUnknown, "1.5", wire.CodeInvalid)
	f(`{"method":"ping","id":1.`+strings.Repeat("0", maxEcho-2)+`}`, opPing, "1."+strings.Repeat("0", maxEcho-2), 0)
	f(`{"method":"ping","id":1.`+strings.Repeat("0", maxEcho-1)+`}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","id":true}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","id":[1]}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","id":{}}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","id":""}`, opPing, `""`, 0)
	f(`{"method":"ping","id":"a\"b"}`, opPing, `"a\"b"`, 0)
	f(`{"method":"ping","id":"`+strings.Repeat("é", 36)+`"}`, opPing, `"`+strings.Repeat("é", 36)+`"`, 0)
	f(`{"method":"ping","id":"`+strings.Repeat("x", 37)+`"}`, opUnknown,
		`"`+strings.Repeat("x", 37)+`"`, wire.CodeInvalid)
	f(`{"method":"ping","id":"`+strings.Repeat("x", maxEcho)+`"}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","id":"\ud800"}`, opPing, `"\ud800"`, 0)
	f(`{"method":"ping","id":"\u0041\/"}`, opPing, `"\u0041\/"`, 0)
}

func TestRequestMembers(t *testing.T) {
	f := parses(t)
	// what is not a request, and has no id: not a notification either (JSON-RPC 2.0, section 7)
	f(`{"jsonrpc":"2.0","method":1,"params":"bar"}`, opUnknown, "null", wire.CodeInvalid)
	f(`{}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"op":"subscribe","args":["trades"]}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"jsonrpc":"1.0","method":"ping"}`, opUnknown, "null", wire.CodeInvalid)
	f(`{"method":"ping","params":"x"}`, opPing, "null", wire.CodeInvalid)

	// members that stand twice
	f(`{"method":"ping","id":7,"id":8}`, opPing, "null", wire.CodeInvalid)
	f(`{"method":"ping","method":"subscribe","id":7}`, opPing, "7", wire.CodeInvalid)
	f(`{"method":"ping","m\u0065thod":"ping"}`, opPing, "null", wire.CodeInvalid)
	f(`{"method":"subscribe","id":7,"params":{"rooms":["a"],"rooms":["a"]}}`, opSubscribe, "7", wire.CodeInvalid)
	f(`{"method":"subscribe","id":7,"params":{"since":{"a":{"0":1},"a":{"0":2}}}}`, opSubscribe, "7", wire.CodeInvalid)
	f(`{"method":"subscribe","id":7,"params":{"since":{"a":{"0":1,"0":1}}}}`, opSubscribe, "7", wire.CodeInvalid)
	f(`{"method":"ping","id":7,"x":[{"y":1},{"y":1,"y":1}]}`, opPing, "7", wire.CodeInvalid)
	f(`{"method":"ping","id":7,"x":[{"y":1},{"y":{"y":1}}]}`, opPing, "7", 0)

	// jsonrpc, params, and what else there is
	f(`{"jsonrpc":"2.0","method":"ping","id":1}`, opPing, "1", 0)
	f(`{"jsonrpc":"1.0","method":"ping","id":1}`, opUnknown, "1", wire.CodeInvalid)
	f(`{"jsonrpc":2.0,"method":"ping","id":1}`, opUnknown, "1", wire.CodeInvalid)
	f(`{"method":"ping","id":1,"unknown":{"x":[1]}}`, opPing, "1", 0)
	f(`{"method":"ping","id":1,"params":null}`, opPing, "1", 0)
	f(`{"method":"ping","id":1,"params":"x"}`, opPing, "1", wire.CodeParams)
	f(`{"method":"ping","id":1,"params":3}`, opPing, "1", wire.CodeParams)
	f(" \n{\"method\":\"ping\",\"id\":1}\t ", opPing, "1", 0)
}

func TestNoRequests(t *testing.T) {
	f := parses(t)
	// no requests
	f(`[]`, opUnknown, "null", wire.CodeInvalid)
	f(`[{"method":"ping","id":1}]`, opUnknown, "null", wire.CodeInvalid)
	f(`"ping"`, opUnknown, "null", wire.CodeInvalid)
	f(`7`, opUnknown, "null", wire.CodeInvalid)
	f(`null`, opUnknown, "null", wire.CodeInvalid)
	f(``, opUnknown, "null", wire.CodeParse)
	f(`{`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":1`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":1}}`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":1,}`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":01}`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":nan}`, opUnknown, "null", wire.CodeParse)
	f(`{"method":"pi\ng","id":1}`, opUnknown, "1", 0) // an escape of JSON
	f("{\"method\":\"pi\ng\",\"id\":1}", opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":1,"x":"\q"}`, opUnknown, "null", wire.CodeParse)
	f(`{'method':'ping'}`, opUnknown, "null", wire.CodeParse)
	f(`hello`, opUnknown, "null", wire.CodeParse)
	f(strings.Repeat("[", 40000), opUnknown, "null", wire.CodeParse)
	f(`{"method":"ping","id":1,"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+`}`, opPing, "1", 0)
	f(`{"method":"ping","id":1,"x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`}`, opUnknown,
		"null", wire.CodeParse)
	f(`{"method":"ping","id":1,"x":"`+strings.Repeat("[", 99)+`\"[[["}`, opPing, "1", 0)
	f(`{"method":"ping","id":1,"x":"\\"}`, opPing, "1", 0)
	f(`{"method":"ping","id":1,"x":"\`, opUnknown, "null", wire.CodeParse)
}

func TestWholeNumber(t *testing.T) {
	f := func(text string, want int64, wantOK bool) {
		t.Helper()
		if n, ok := wholeNumber([]byte(text)); ok != wantOK || ok && n != want {
			t.Errorf("%s: %d %v", text, n, ok)
		}
	}
	f("0", 0, true)
	f("-0.0", 0, true)
	f("0e99999999999999999999", 0, true)
	f("1.0", 1, true)
	f("1e+06", 1_000_000, true)
	f("-1E2", -100, true)
	f("1200e-2", 12, true)
	f("1201e-2", 0, false)
	f("0.5e1", 5, true)
	f("0.05e1", 0, false)
	f("0.0012e4", 12, true)
	f("12.50e1", 125, true)
	f("9223372036854775807.0", 1<<63-1, true)
	f("-9223372036854775808.0", -1<<63, true)
	f("9223372036854775808", 0, false)
	f("1e19", 0, false)
	f("1e18", 1e18, true)
	f("1e9223372036854775807", 0, false)
	f("1e-99999999999999999999", 0, false)
	f("0."+strings.Repeat("0", 5000)+"1e5001", 1, true)
	f("1"+strings.Repeat("0", 5000)+"e-5000", 1, true)
}

func TestRequestRoomNames(t *testing.T) {
	f := func(params string, want []string, wantList bool, wantCode int) {
		t.Helper()
		q := new(request)
		if f := q.parse([]byte(`{"method":"subscribe","id":1,"params":` + params + `}`)); f.is() {
			t.Fatalf("%s: %+v", params, f)
		}
		names, list, fault := q.roomNames()
		if d := cmp.Diff(want, names); d != "" || list != wantList || fault.code != wantCode {
			t.Errorf("%s: list %v fault %+v\n%s", params, list, fault, d)
		}
	}
	f(`["prices"]`, []string{"prices"}, true, 0)
	f(`["a","b","a"]`, []string{"a", "b"}, true, 0)
	f(`{"rooms":["a","b"]}`, []string{"a", "b"}, false, 0)
	f(`{"rooms":["\u0061"]}`, []string{"a"}, false, 0)
	f(`[]`, []string{}, true, wire.CodeParams)
	f(`{"rooms":[]}`, []string{}, false, wire.CodeParams)
	f(`{}`, nil, false, wire.CodeParams)
	f(`null`, nil, false, wire.CodeParams)
	f(`{"rooms":null}`, nil, false, wire.CodeParams)
	f(`{"rooms":"prices"}`, nil, false, wire.CodeParams)
	f(`[1]`, nil, true, wire.CodeParams)
	f(`["a",null]`, nil, true, wire.CodeParams)
	f(`[""]`, nil, true, wire.CodeParams)
	f(`["`+strings.Repeat("x", rooms.MaxName)+`"]`, []string{strings.Repeat("x", rooms.MaxName)}, true, 0)
	f(`["`+strings.Repeat("x", rooms.MaxName+1)+`"]`, nil, true, wire.CodeParams)
	f(`["a"`+strings.Repeat(`,"a"`, maxNames)+`]`, nil, true, wire.CodeLimit)
}

// A pooled parser must not keep what one large message needed.
func TestRequestPoolForgetsLarge(t *testing.T) {
	q := new(request)
	q.parse([]byte(`{"method":"ping","x":"` + strings.Repeat("x", keepBytes) + `"}`))
	if !q.big {
		t.Fatal("a large message's parser would go back into the pool")
	}
	q.parse([]byte(`{"method":"ping"}`))
	if q.big {
		t.Fatal("a small message's parser would be thrown away")
	}
}

func TestQuoted(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := jsontext.Quoted(s); got != want {
			t.Errorf("jsontext.Quoted(%q) = %s, want %s", s, got, want)
		}
	}
	f("a", `"a"`)
	f("a\"\n\x00", `"a\"\n\u0000"`)
	f("\xff", `"`+"\uFFFD"+`"`)
	f(strings.Repeat("x", 65), `"`+strings.Repeat("x", 64)+`…"`)
	f(strings.Repeat("x", 63)+"é", `"`+strings.Repeat("x", 63)+`…"`)
}

// FuzzRequest: whatever a client sends, the parser agrees with encoding/json
// on what is JSON, and all that is echoed makes valid JSON text.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"method":"ping","id":1}`, `{"method":"SUBSCRIBE","params":["prices"],"id":"a"}`, `[]`, `{"id":nan}`,
		"{\"method\":\"\xff\"}", "\"\x00\\b\"", "{\"method\":\"a\\n\x01\"}",
		`{"method":"subscribe","params":{"rooms":["a","\ud800"],"since":{"a":{"epoch":"x","0":1}}},"id":null}`,
		`{"id":"\ud800","method":"\udfff"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if !utf8.Valid(p) {
			return // the loop lets none through
		}
		q := getRequest()
		defer putRequest(q)
		fault := q.parse(p)
		if fault.code != wire.CodeParse && !json.Valid(p) {
			t.Fatalf("taken for JSON: %q", p)
		}
		if fault.code == wire.CodeParse && json.Valid(p) && !jsontext.TooDeep(p) {
			t.Fatalf("refused, but valid: %q", p)
		}
		if !fault.is() {
			_ = q.checkMisnamed()
			if _, _, f := q.roomNames(); f.is() {
				fault = f
			} else {
				fault = fault2(q)
			}
		}
		id := q.id
		if len(id) == 0 {
			id = idNull
		}
		if out := appendError(nil, id, fault); !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("%q: the reply is no JSON: %s", p, out)
		}
	})
}

func fault2(q *request) fault {
	return fault{code: wire.CodeMethod, text: "unknown method " + jsontext.Quoted(q.method)}
}

// TestPlainID: what is taken for the id of a message that is not parsed is its id.
func TestPlainID(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		if got := string(plainID([]byte(message))); got != want {
			t.Errorf("%s: got %s, want %s", message, got, want)
		}
		q := getRequest()
		if fault := q.parse([]byte(message)); want != "null" && (fault.is() || string(q.id) != want) {
			t.Errorf("%s: its id is %s (%s)", message, q.id, fault.text)
		}
	}
	f(`{"id":1,"method":"ping"}`, "1")
	f(` { "jsonrpc": "2.0", "id": "a b", "method": "ping"}`, `"a b"`)
	f(`{"method":"ping","id":12}`, "12")
	f(`{"method":"ping","params":{}, "id" : 0 } `, "0") // however
	f(`{"method":"ping","x":"c,","id":5}`, "5")
	f(`{"method":"ping","id":5,"x":1}`, "null")
	f(`{"method":"ping","x":{"id":5}}`, "null")
	f(`{"method":"ping","x":{"y":1,"id":5}}`, "null")
	f(`{"method":"ping","x":[1,{"y":1,"id":5}]}`, "null")
	f(`{"method":"ping","x":"\",\"id\":5"}`, "null")
	f(`{"method":"ping","id":"\ud800"}`, "null")
	f(`{"method":"ping","id":01}`, "null")
	f(`{"method":"ping","id":"`+strings.Repeat("a", maxID+1)+`"}`, "null")
	f(`{"method":"ping"}`, "null")
	f(`{"jsonrpc":"2.0"}`, "null")
	f(`{"id":`+strings.Repeat("1", 10_000), "null")
	f(`{`+strings.Repeat(" ", 10_000)+`}`, "null")
	f("", "null")
}
