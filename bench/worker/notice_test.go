package worker

import (
	"strings"
	"testing"

	"tapecast/bench/job"
	"tapecast/bench/proto"
)

// What a gateway sends before a client has joined: what admits the client, and what ends the
// run with a reason.
func TestNoticesOnTheWayIn(t *testing.T) {
	f := func(state state, text, fault string, after state) {
		t.Helper()
		l, err := newLoop(job.Job{Endpoint: job.Endpoint{Addr: "127.0.0.1:1"}, Clients: 1, Size: 128,
			Rooms: []string{"prices"}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		l.clients[0].state = state
		err = l.notice(0, []byte(text))
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Fatalf("%v; want %q", err, fault)
		}
		if l.clients[0].state != after {
			t.Fatalf("state %d, want %d", l.clients[0].state, after)
		}
	}
	const head = `{"jsonrpc":"2.0","method":"`
	f(stEntering, head+`auto_subscribed","params":{"totalRooms":1}}`, "", stJoined)
	f(stEntering,
		head+`auto_subscribed","params":{"totalRooms":0,"errors":[{"room":"prices","error":{"code":-32006,`+
			`"message":"unknown room"}}]}}`, `cannot join "prices": unknown room`, stEntering)
	f(stGreeting, head+`auth_required","params":{"timeout":10000}}`, "wants a token", stGreeting)
	f(stGreeting, `{"jsonrpc":"2.0","id":null,"error":{"code":-32002,"message":"bad token"}}`,
		"refused: bad token (-32002)", stGreeting)
	f(stEntering, `{"jsonrpc":"2.0","id":1,"result":{}}`, "", stEntering)
	f(stEntering, head+`positions","params":{}}`, "", stEntering)
	f(stEntering, `{"jsonrpc":`, "not JSON", stEntering)
	f(stJoined, `{"jsonrpc":"2.0","id":1,"error":{"code":-32004,"message":"slow down"}}`, "", stJoined)
}

func TestParseUpgrade(t *testing.T) {
	key := proto.UpgradeKey(7)
	if key == proto.UpgradeKey(8) || len(key) != 24 {
		t.Fatalf("key %q", key)
	}
	good := string(proto.AppendAccept(nil, key))
	f := func(answer string, used int, fault string) {
		t.Helper()
		n, err := proto.ParseUpgrade([]byte(answer), key)
		if n != used || fault == "" && err != nil || fault != "" &&
			(err == nil || !strings.Contains(err.Error(), fault)) {
			t.Fatalf("%d, %v; want %d, %q", n, err, used, fault)
		}
	}
	f(good, len(good), "")
	f(good+"\x81\x02{}", len(good), "")
	f(good[:len(good)-1], 0, "")
	f("", 0, "")
	f(strings.Replace(good, "Sec-WebSocket-Accept", "sec-websocket-accept", 1), len(good), "")
	f(strings.Replace(good, proto.AcceptKey(key), proto.AcceptKey("x"), 1), 0, "has Sec-WebSocket-Accept")
	f("HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, "no Sec-WebSocket-Accept")
	f("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\ntoo many", 0,
		"refused: 503 Service Unavailable: too many")
	f("SSH-2.0-x\r\n\r\n", 0, "not HTTP")
	f(strings.Repeat("x", 17<<10), 0, "does not end")
	// RFC 6455, 1.3.
	if got := proto.AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("accept key %q", got)
	}
	req := string(proto.AppendUpgrade(nil, "h:1", "/ws", "tapecast.v1", "tok", key, false))
	if k, ok := proto.RequestKey([]byte(req)); !ok || k != key ||
		!strings.Contains(req, "\r\nAuthorization: Bearer tok\r\n") {
		t.Fatalf("%q has key %q", req, k)
	}
}
