package client

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// asked is a request that a gateway of serve got.
type asked struct {
	ID     int
	Method string
	Params struct {
		Rooms []string
		Since map[string]any
	}
}

// serve is a gateway that lets everybody in and joins what is asked for. more does further things.
func serve(t *testing.T, more func(say func(text string, args ...any), r asked)) (url string) {
	t.Helper()
	return serveConns(t, func(_ net.Conn, say func(text string, args ...any), r asked) {
		if more != nil {
			more(say, r)
		}
	})
}

// serveConns is serve, where more is given the connection too.
func serveConns(t *testing.T, more func(conn net.Conn, say func(text string, args ...any), r asked)) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		say := func(text string, args ...any) {
			_ = wsutil.WriteServerText(conn, fmt.Appendf(nil, text, args...)) // a client that is gone is seen below
		}
		say(`{"jsonrpc":"2.0","method":"auth_required","params":{}}`)
		for {
			b, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			var r asked
			if err := json.Unmarshal(b, &r); err != nil {
				t.Error(err)
			}
			var rooms []string
			for _, room := range r.Params.Rooms {
				rooms = append(rooms, fmt.Sprintf(
					`{"room":%q,"status":"joined","chain":true,"positions":{"epoch":"e","0":0}}`, room))
			}
			switch r.Method {
			case "authenticate":
				say(`{"jsonrpc":"2.0","id":%d,"result":{}}`, r.ID)
				say(`{"jsonrpc":"2.0","method":"auto_subscribed","params":{}}`)
			case "subscribe", "unsubscribe":
				say(`{"jsonrpc":"2.0","id":%d,"result":{"rooms":[%s]}}`, r.ID, strings.Join(rooms, ","))
			}
			more(conn, say, r)
		}
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func connect(t *testing.T, url string, opts ...Option) *Tape {
	t.Helper()
	tape, err := Connect(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tape.Close)
	return tape
}
