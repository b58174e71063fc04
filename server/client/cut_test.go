package client

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// TestCutWithinFrame: a connection that ends within a frame, wherever that is, is a lost connection and
// nothing else. The message comes whole on the next one.
func TestCutWithinFrame(t *testing.T) {
	const text = `{"room":"a","pos":"0:1","prev":"0:0","data":{"n":1}}`
	frame := ws.MustCompileFrame(ws.NewTextFrame([]byte(text)))
	for _, cut := range []int{1, 2, 3, 20, len(frame) - 1, len(frame)} {
		var once sync.Once
		got := make(chan string, 4)
		url := serveConns(t, func(conn net.Conn, say func(text string, args ...any), r asked) {
			if r.Method != "subscribe" {
				return
			}
			whole := true
			once.Do(func() {
				_, _ = conn.Write(frame[:cut])
				conn.Close()
				whole = false
			})
			if whole {
				say(text)
			}
		})
		tape := connect(t, url, OnError(func(err *Error, room string) { got <- fmt.Sprintf("%v of %q", err, room) }))
		tape.Room("a", OnMessage(func(m Message) { got <- m.Pos }))
		if m := <-got; m != "0:1" {
			t.Errorf("cut after %d bytes: %s", cut, m)
		}
		tape.Close()
	}
}
