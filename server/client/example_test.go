package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"tapecast/server/client"
)

// toy is a gateway of three messages, for the examples to be run. Then it ends the user's access.
func toy() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		says := func(text string, args ...any) {
			_ = wsutil.WriteServerText(conn, fmt.Appendf(nil, text, args...)) // a client that is gone is seen below
		}
		says(`{"jsonrpc":"2.0","method":"auth_required","params":{}}`)
		for {
			b, err := wsutil.ReadClientText(conn)
			if err != nil {
				return
			}
			var r struct {
				ID     int
				Method string
				Params struct{ Rooms []string }
			}
			if json.Unmarshal(b, &r) != nil || r.Method == "authenticate" {
				says(`{"jsonrpc":"2.0","id":%d,"result":{"clientId":"c","maxMessage":65536}}`, r.ID)
				says(`{"jsonrpc":"2.0","method":"auto_subscribed","params":{}}`)
				continue
			}
			for _, room := range r.Params.Rooms {
				says(`{"jsonrpc":"2.0","id":%d,"result":{"rooms":[{"room":%q,"status":"joined","class":"stream",`+
					`"chain":true,"positions":{"epoch":"k3x9","0":5}}]}}`, r.ID, room)
				says(`{"room":%q,"pos":"0:6","prev":"0:5","data":{"price":61}}`, room)
				says(`{"room":%q,"pos":"0:6","prev":"0:5","data":{"price":61}}`, room)
				says(`{"room":%q,"pos":"0:9","prev":"0:6","data":{"price":62}}`, room)
			}
			_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4003, "revoked"))) // as above
		}
	}))
}

func urlOf(s *httptest.Server) string { return "ws" + strings.TrimPrefix(s.URL, "http") + "/ws" }

func token(context.Context) (string, error) { return "a token of your own server", nil }

// The functions that follow are on the page about clients.

func follow(ctx context.Context, url string) error {
	tape, err := client.Connect(ctx, url, client.WithToken(token),
		client.OnError(func(err *client.Error, room string) { fmt.Println(room, err) }))
	if err != nil {
		return err
	}
	defer tape.Close()
	tape.Room("trades",
		client.OnMessage(func(m client.Message) { fmt.Println(m.Room, m.Pos, string(m.Data)) }),
		client.OnGap(func(g client.Gap) { fmt.Println("lost from", g.From, "to", g.To) }))
	<-tape.Done() // ctx is done, or the gateway refuses the user for good
	state, why := tape.State()
	fmt.Println(state, why.Code, why.Reason)
	return ctx.Err()
}

func orders(tape *client.Tape, query func(context.Context) (sum int, next map[int32]int64, err error)) {
	sum := 0
	tape.Room("orders:42",
		client.Load(func(ctx context.Context) (any, client.From, error) {
			sum, next, err := query(ctx)
			return sum, client.NextPositions{Epoch: "k3x9", Next: next}, err
		}),
		client.OnLoad(func(state any) { sum = state.(int) }),
		client.OnMessage(func(m client.Message) {
			var order struct{ Price int }
			if err := json.Unmarshal(m.Data, &order); err != nil {
				fmt.Println(err)
				return
			}
			sum += order.Price
			fmt.Println(sum)
		}))
}

func Example() {
	gateway := toy()
	defer gateway.Close()
	if err := follow(context.Background(), urlOf(gateway)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// trades 0:6 {"price":61}
	// trades 0:9 {"price":62}
	// closed 4003 revoked
}

func ExampleLoad() {
	gateway := toy()
	defer gateway.Close()
	tape, err := client.Connect(context.Background(), urlOf(gateway), client.WithToken(token))
	if err != nil {
		fmt.Println(err)
		return
	}
	orders(tape, func(context.Context) (int, map[int32]int64, error) { return 1000, map[int32]int64{0: 6}, nil })
	<-tape.Done()
	// Output:
	// 1061
	// 1123
}

// TestPage: the Go code of the page about clients is that of this file, which runs.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../web/docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) != 2 {
		t.Errorf("the page has %d blocks of Go, not 2", len(blocks))
	}
	for _, b := range blocks {
		if code, _, _ := strings.Cut(b, "```"); !strings.Contains(string(file), code) {
			t.Errorf("this code of the page is not in example_test.go:\n%s", code)
		}
	}
}
