package hostile

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"tapecast/bench/proto"
)

// clientFrame takes the first frame of a client off b.
func clientFrame(t *testing.T, b []byte) (op byte, fin bool, payload, rest []byte) {
	t.Helper()
	if len(b) < 6 || b[0]&0x70 != 0 || b[1]&0x80 == 0 || b[1]&127 > 125 || len(b) < 6+int(b[1]&127) {
		t.Fatalf("not a whole masked frame: % x", proto.Head(b))
	}
	n := int(b[1] & 127)
	payload = bytes.Clone(b[6 : 6+n])
	for i := range payload {
		payload[i] ^= b[2+i&3]
	}
	return b[0] & 15, b[0]&0x80 != 0, payload, b[6+n:]
}

// Each flood has whole frames of its kind, and as many as it counts.
func TestFloods(t *testing.T) {
	f := func(kind string, op byte, fin bool, size int) {
		t.Helper()
		flood := newFlood(kind)
		if len(flood.again) < floodSize {
			t.Fatalf("%s: %d bytes", kind, len(flood.again))
		}
		n := int64(0)
		for b := flood.again; len(b) > 0; n++ {
			var gotOp byte
			var gotFin bool
			var p []byte
			gotOp, gotFin, p, b = clientFrame(t, b)
			if gotOp != op || gotFin != fin || len(p) != size {
				t.Fatalf("%s: frame %d has opcode %d, fin %v, %d bytes", kind, n, gotOp, gotFin, len(p))
			}
		}
		if n != flood.frames {
			t.Errorf("%s: %d frames, %d said", kind, n, flood.frames)
		}
		if kind != "continuations" && len(flood.first) > 0 {
			t.Errorf("%s begins with something", kind)
		}
	}
	f("pings", proto.OpPing, true, 0)
	f("pings-125", proto.OpPing, true, 125)
	f("pongs", proto.OpPong, true, 0)
	f("continuations", opContinuation, false, 0)
	f("requests", proto.OpText, true, len(`{"method":"ping","id":1}`))
	// Continuations need a message: the first fragment is a text's.
	op, fin, p, rest := clientFrame(t, newFlood("continuations").first)
	if op != proto.OpText || fin || len(p) == 0 || len(rest) > 0 {
		t.Errorf("continuations begin with opcode %d, fin %v", op, fin)
	}
	var m struct{ Method string }
	if _, _, p, _ := clientFrame(t, newFlood("requests").again); json.Unmarshal(p, &m) != nil || m.Method != "ping" {
		t.Errorf("requests: %s", p)
	}
	for _, k := range kinds {
		if k.attack == nil || k.does == "" || !strings.Contains(KindsHelp(), k.Name) {
			t.Errorf("%s is not complete", k.Name)
		}
		if k.mute && newFlood(k.Name) != nil {
			t.Errorf("%s floods what is not upgraded", k.Name)
		}
	}
}

// A ClientHello is whole: crypto/tls reads it, and waits for more.
func TestClientHello(t *testing.T) {
	hello, err := clientHello("gateway.example")
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	defer func() { _ = here.Close() }()
	stop := errors.New("seen")
	seen := make(chan string, 1)
	go func() {
		_ = tls.Server(there, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			seen <- i.ServerName
			return nil, stop
		}}).Handshake() // ends with stop
		_ = there.Close()
	}()
	if _, err := here.Write(hello); err != nil {
		t.Fatal(err)
	}
	if name := <-seen; name != "gateway.example" {
		t.Fatalf("a hello to %q", name)
	}
}

// The position before everything in a room is given for each of its partitions.
func TestFirstPosition(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		if got := firstPosition([]byte(answer)); got != want {
			t.Errorf("%s gave %s", answer, got)
		}
	}
	f(`{"result":{"rooms":[{"room":"a","positions":{"epoch":"k","0":12,"7":9}}]}}`, `{"0":-1,"7":-1,"epoch":"k"}`)
	f(`{"id":1,"result":{"rooms":[{"room":"a"}]}}`, `{"0":-1,"epoch":"none"}`)
	f(`{"id":1,"result":{"rooms":[{"room":"a","positions":{"epoch":"k3"}}]}}`, `{"0":-1,"epoch":"none"}`)
	f(`{"id":1,"error":{"code":-32004}}`, `{"0":-1,"epoch":"none"}`)
	f(``, `{"0":-1,"epoch":"none"}`)
}

func TestErrorCode(t *testing.T) {
	f := func(p, want string) {
		t.Helper()
		if got := errorCode([]byte(p)); got != want {
			t.Errorf("%s: %q", p, got)
		}
	}
	f(`{"jsonrpc":"2.0","id":1,"error":{"code":-32004,"message":"rate limited"}}`, "-32004")
	f(`{"id":1,"result":{"rooms":[{"room":"a","error":{"code":-32008}}]}}`, "-32008")
	f(`{"id":1,"result":{}}`, "")
	f(`{"code":7}`, "")
	f(`{"code":`, "")
	f("", "")
}

// The number of names that are counted apart is bounded.
func TestBump(t *testing.T) {
	m := map[string]int64{}
	for n := range 100 {
		Bump(m, strings.Repeat("x", n))
	}
	if Bump(m, ""); len(m) != 33 || m["others"] != 68 || m[""] != 2 {
		t.Fatalf("%d names, %d others", len(m), m["others"])
	}
}
