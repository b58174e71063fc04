package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tapecast/server/client"
)

// toy is a gateway of three messages, for the example to be run.
func toy() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		says := func(texts ...string) {
			for _, text := range texts {
				_ = wsutil.WriteServerText(conn, []byte(text)) // a client that is gone is seen below
			}
		}
		says(`{"jsonrpc":"2.0","method":"auth_required","params":{}}`)
		for n := 0; ; n++ {
			if _, err := wsutil.ReadClientText(conn); err != nil {
				return
			}
			switch n {
			case 0:
				says(`{"jsonrpc":"2.0","id":1,"result":{"clientId":"c","maxMessage":65536}}`,
					`{"jsonrpc":"2.0","method":"auto_subscribed","params":{}}`)
			case 1:
				says(`{"jsonrpc":"2.0","id":2,"result":{"rooms":[{"room":"trades","status":"joined","class":"stream",`+
					`"chain":true,"positions":{"epoch":"k3x9","0":5}}]}}`,
					`{"room":"trades","pos":"0:6","prev":"0:5","data":{"price":61}}`,
					`{"room":"trades","pos":"0:6","prev":"0:5","data":{"price":61}}`,
					`{"room":"trades","pos":"0:9","prev":"0:6","data":{"price":62}}`)
			}
		}
	}))
}

func Example() {
	gateway := toy()
	defer gateway.Close()
	url := "ws" + strings.TrimPrefix(gateway.URL, "http") + "/ws"

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tape, err := client.Connect(ctx, url,
		client.WithToken(func(context.Context) (string, error) { return "a token of your own server", nil }),
		client.OnError(func(err *client.Error, room string) { fmt.Println(room, err) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	tape.Room("trades",
		client.OnMessage(func(m client.Message) {
			fmt.Println(m.Room, m.Pos, string(m.Data))
			if m.Pos == "0:9" {
				cancel() // a handler must not wait, as Close does
			}
		}),
		client.OnGap(func(g client.Gap) { fmt.Println("lost from", g.From, "to", g.To) }))
	<-tape.Done()
	fmt.Println(tape.State())
	// Output:
	// trades 0:6 {"price":61}
	// trades 0:9 {"price":62}
	// closed {1000  0s}
}
