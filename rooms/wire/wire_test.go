package wire

import (
	"encoding/json"
	"testing"
	"time"
)

type positions string

func (p positions) AppendJSON(dst []byte) []byte { return append(dst, p...) }

// Every notice and reply, as a client gets it.
func TestNotices(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != "x"+want || !json.Valid(got[1:]) {
			t.Errorf("got %s, want x%s", got, want)
		}
	}
	x, at, none := []byte("x"), positions(`{"epoch":"e","0":1}`), positions("{}")
	f(AppendGap(x, `a"b`, at, positions(`{"epoch":"e","0":5,"1":7}`)),
		`{"jsonrpc":"2.0","method":"gap","params":{"room":"a\"b","from":{"epoch":"e","0":1},"to":{"epoch":"e","0":5,`+
			`"1":7}}}`)
	f(AppendGap(x, "a", none, none), `{"jsonrpc":"2.0","method":"gap","params":{"room":"a","from":{},"to":{}}}`)
	f(AppendReset(x, "prices", "e2"), `{"jsonrpc":"2.0","method":"reset","params":{"room":"prices","epoch":"e2"}}`)
	f(AppendConflated(x, "a", 3), `{"jsonrpc":"2.0","method":"conflated","params":{"room":"a","count":3}}`)
	f(AppendSnapshotBegin(x, "a", false), `{"jsonrpc":"2.0","method":"snapshot_begin","params":{"room":"a"}}`)
	f(AppendSnapshotEnd(x, "a", at, true),
		`{"jsonrpc":"2.0","method":"snapshot_end","params":{"room":"a","positions":{"epoch":"e","0":1},`+
			`"partial":true}}`)
	f(AppendJoined(x, "a:1", "a:*", "k", true, at, false),
		`{"jsonrpc":"2.0","method":"joined","params":{"room":"a:1","pattern":"a:*","class":"k","chain":true,`+
			`"positions":{"epoch":"e","0":1}}}`)
	f(AppendLimit(x, "a:*", "a:1", "rooms", 5),
		`{"jsonrpc":"2.0","method":"limit","params":{"pattern":"a:*","room":"a:1","limit":"rooms","most":5}}`)
	f(AppendLimit(x, "a:*", "a:1", "", 0), `{"jsonrpc":"2.0","method":"limit","params":{"pattern":"a:*","room":"a:1"}}`)
	f(append(x, EndPositions(AppendPositionsOf(AppendPositionsOf([]byte(PositionsHead), "a", at), "b", none))...),
		`{"jsonrpc":"2.0","method":"positions","params":{"a":{"epoch":"e","0":1},"b":{}}}`)
	f(AppendAuthRequired(x, time.Second, 9, false),
		`{"jsonrpc":"2.0","method":"auth_required","params":{"timeout":1000,"maxMessage":9}}`)
	f(AppendAuthenticated(x, &Identity{"1", "u", 2, 3, false}), `{"jsonrpc":"2.0","method":"authenticated",`+
		`"params":{"clientId":"1","userId":"u","expires":2,"maxMessage":3}}`)
	f(AppendAuthenticated(x, &Identity{ClientID: "1", MaxMessage: 3, Anonymous: true}),
		`{"jsonrpc":"2.0","method":"authenticated","params":{"clientId":"1","userId":null,"maxMessage":3}}`)
	f(AppendExpiring(x, 5, -1), `{"jsonrpc":"2.0","method":"auth_expiring","params":{"expires":5,"timeLeft":0}}`)
	f(AppendShutdown(x, time.Second),
		`{"jsonrpc":"2.0","method":"server_shutdown","params":{"reason":"the server is stopping","within":1000}}`)
	f(AppendNull(x, []byte("7")), `{"jsonrpc":"2.0","id":7,"result":null}`)
	f(AppendPing(x, []byte(`"a"`), time.UnixMilli(5)), `{"jsonrpc":"2.0","id":"a","result":{"timestamp":5}}`)
	f(AppendErrorReply(x, []byte("7"), &Error{Code: CodeTooOld, Message: "m", Oldest: at}),
		`{"jsonrpc":"2.0","id":7,"error":{"code":-32008,"message":"m","data":{"oldest":{"epoch":"e","0":1}}}}`)
	f(AppendErrorReply(x, []byte("7"), &Error{Code: CodeNotNow, Message: "m", RetryAfter: time.Second}),
		`{"jsonrpc":"2.0","id":7,"error":{"code":-32010,"message":"m","data":{"retryAfter":1000}}}`)
}
