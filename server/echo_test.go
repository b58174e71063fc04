package server

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestEcho(t *testing.T) {
	e, err := NewEcho("127.0.0.1:0", 1000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	conn, _, _, err := ws.Dial(context.Background(), "ws://"+e.Addr().String()+"/any/path")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := func(op ws.OpCode, p []byte) {
		t.Helper()
		if err := wsutil.WriteClientMessage(conn, op, p); err != nil {
			t.Fatal(err)
		}
		got, gotOp, err := wsutil.ReadServerData(conn)
		if err != nil || gotOp != op || !bytes.Equal(got, p) {
			t.Fatalf("%q of opcode %d comes back as %q of %d, %v", p, op, got, gotOp, err)
		}
	}
	f(ws.OpText, []byte("hello"))
	f(ws.OpText, nil)
	f(ws.OpBinary, []byte{0, 0xff})
	f(ws.OpBinary, make([]byte, 1000))
	wsutil.WriteClientBinary(conn, make([]byte, 1001))
	_, _, err = wsutil.ReadServerData(conn)
	if closed, ok := err.(wsutil.ClosedError); !ok || closed.Code != ws.StatusMessageTooBig {
		t.Fatalf("a long message gives %v, want close 1009", err)
	}
}
